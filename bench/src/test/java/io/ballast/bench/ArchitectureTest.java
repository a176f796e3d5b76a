package io.ballast.bench;

import static com.tngtech.archunit.base.DescribedPredicate.describe;
import static com.tngtech.archunit.base.DescribedPredicate.not;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAPackage;
import static com.tngtech.archunit.core.domain.JavaClass.Predicates.resideInAnyPackage;
import static com.tngtech.archunit.lang.syntax.ArchRuleDefinition.noClasses;
import static com.tngtech.archunit.library.dependencies.SlicesRuleDefinition.slices;
import static org.assertj.core.api.Assertions.assertThat;

import com.tngtech.archunit.base.DescribedPredicate;
import com.tngtech.archunit.core.domain.AccessTarget.CodeUnitCallTarget;
import com.tngtech.archunit.core.domain.JavaCall;
import com.tngtech.archunit.core.domain.JavaClass;
import com.tngtech.archunit.core.domain.JavaClasses;
import com.tngtech.archunit.core.importer.ClassFileImporter;
import com.tngtech.archunit.core.importer.ImportOption;
import java.time.Clock;
import java.time.Instant;
import java.util.Map;
import java.util.Set;
import java.util.TreeSet;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

/**
 * What docs/architecture.md says about the rooms, as rules: which room may use which, and that decisions are pure.
 *
 * <p>The rules live in this module because it is the one that sees all others.
 */
class ArchitectureTest {
    private static final JavaClasses CLASSES = new ClassFileImporter()
            .withImportOption(new ImportOption.DoNotIncludeTests())
            .importPackages("io.ballast");

    /** Packages in which the same input must always give the same output: simulations run what is in them. */
    private static final String[] PURE = {
        "io.ballast.core.config..",
        "io.ballast.core.sim..",
        "io.ballast.core.time..",
        "io.ballast.core.yaml..",
        "io.ballast.director",
        "io.ballast.director.scheduler..",
        "io.ballast.health.state..",
        "io.ballast.linux.neighbour.state..",
        "io.ballast.takeover.group..",
        "io.ballast.takeover.track..",
        "io.ballast.takeover.vrrp.."
    };

    private static final Map<String, Set<String>> CLOCKS = Map.of(
            System.class.getName(),
            Set.of("nanoTime", "currentTimeMillis"),
            Instant.class.getName(),
            Set.of("now"),
            Clock.class.getName(),
            Set.of("systemUTC", "systemDefaultZone", "system", "tick"),
            "java.time.LocalDateTime",
            Set.of("now"),
            "java.time.ZonedDateTime",
            Set.of("now"),
            "java.lang.Math",
            Set.of("random"),
            "java.util.UUID",
            Set.of("randomUUID"),
            "java.util.concurrent.TimeUnit",
            Set.of("sleep"));

    private static DescribedPredicate<JavaCall<?>> readsClockOrChance() {
        return describe("read a clock or ask for chance", call -> {
            CodeUnitCallTarget target = call.getTarget();
            return CLOCKS.getOrDefault(target.getOwner().getName(), Set.of()).contains(target.getName());
        });
    }

    private static DescribedPredicate<JavaClass> threadOrSocketOrChance() {
        return describe("threads, sockets or sources of chance", type -> {
            String name = type.getName();
            boolean harmless = name.equals("java.util.concurrent.TimeUnit")
                    || name.equals("java.util.concurrent.Executor")
                    || name.equals("java.util.concurrent.CompletionStage");
            boolean address = name.startsWith("java.net.Inet") || name.equals("java.net.UnknownHostException");
            return !harmless
                    && !address
                    && (name.startsWith("java.util.concurrent.")
                            || name.startsWith("java.net.")
                            || name.startsWith("java.nio.channels.")
                            || name.startsWith("java.lang.foreign.")
                            || name.startsWith("io.netty.")
                            || name.startsWith("java.util.random.")
                            || name.equals("java.util.Random")
                            || name.equals("java.security.SecureRandom")
                            || name.equals("java.util.Timer")
                            || name.equals("java.lang.Thread")
                            || name.equals("java.lang.Process")
                            || name.equals("java.lang.ProcessBuilder"));
        });
    }

    @Test
    void theClassesOfAllRoomsAreInSight() {
        Set<String> rooms = new TreeSet<>();
        CLASSES.forEach(type -> {
            String[] parts = type.getPackageName().split("\\.", -1);
            rooms.add(parts.length > 2 ? parts[2] : type.getName());
        });
        assertThat(rooms)
                .containsExactly("bench", "cli", "core", "director", "health", "lab", "linux", "node", "takeover");
    }

    @ParameterizedTest
    @CsvSource({
        "core, ''",
        "linux, core",
        "health, core linux",
        "director, core linux health",
        "takeover, core linux health",
        "node, core linux health director takeover",
        "cli, core node",
        "lab, core linux health director node cli",
        "bench, core linux health director takeover node cli lab"
    })
    void aRoomUsesOnlyWhatIsBelowIt(String room, String allowed) {
        Set<String> permitted = new TreeSet<>();
        permitted.add(room);
        if (!allowed.isEmpty()) {
            permitted.addAll(Set.of(allowed.split(" ", -1)));
        }
        noClasses()
                .that()
                .resideInAPackage("io.ballast." + room + "..")
                .should()
                .dependOnClassesThat(resideInAPackage("io.ballast..")
                        .and(not(resideInAnyPackage(permitted.stream()
                                .map(p -> "io.ballast." + p + "..")
                                .toArray(String[]::new)))))
                .check(CLASSES);
    }

    @Test
    void roomsAndTheirPartsMakeNoCircles() {
        slices().matching("io.ballast.(*)..").should().beFreeOfCycles().check(CLASSES);
    }

    @Test
    void decisionsNeitherReadAClockNorAskForChance() {
        noClasses()
                .that()
                .resideInAnyPackage(PURE)
                .should()
                .callCodeUnitWhere(readsClockOrChance())
                .check(CLASSES);
    }

    @Test
    void decisionsKnowNoThreadsSocketsOrProcesses() {
        noClasses()
                .that()
                .resideInAnyPackage(PURE)
                .should()
                .dependOnClassesThat(threadOrSocketOrChance())
                .check(CLASSES);
    }

    @Test
    void onlyTheLinuxRoomCallsTheKernelItself() {
        noClasses()
                .that()
                .resideInAPackage("io.ballast..")
                .and()
                // The engine xdp and the gate share memory with their programs, but make no calls either.
                .resideOutsideOfPackages(
                        "io.ballast.linux..",
                        "io.ballast.director.worker..",
                        "io.ballast.director.xdp..",
                        "io.ballast.takeover.lease..")
                .should()
                .dependOnClassesThat()
                .resideInAPackage("java.lang.foreign..")
                .check(CLASSES);
        noClasses()
                .that()
                .resideOutsideOfPackages("io.ballast.linux..")
                .should()
                .dependOnClassesThat()
                .haveFullyQualifiedName("io.ballast.linux.Kernel")
                .check(CLASSES);
    }

    @Test
    void nothingUsesReflectionOrJavaSerialization() {
        noClasses()
                .should()
                .dependOnClassesThat()
                .resideInAPackage("java.lang.reflect..")
                .orShould()
                .dependOnClassesThat(describe(
                        "object streams",
                        type -> type.getName().equals("java.io.ObjectInputStream")
                                || type.getName().equals("java.io.ObjectOutputStream")))
                .check(CLASSES);
    }

    @Test
    void theRulesFindWhatTheyForbid() {
        JavaClasses culprit = new ClassFileImporter().importClasses(Culprit.class);
        assertThat(noClasses()
                        .should()
                        .callCodeUnitWhere(readsClockOrChance())
                        .evaluate(culprit)
                        .hasViolation())
                .isTrue();
        assertThat(noClasses()
                        .should()
                        .dependOnClassesThat(threadOrSocketOrChance())
                        .evaluate(culprit)
                        .hasViolation())
                .isTrue();
        assertThat(noClasses()
                        .should()
                        .dependOnClassesThat(resideInAPackage("io.ballast.core.."))
                        .evaluate(culprit)
                        .hasViolation())
                .isTrue();
    }

    /** Does what pure classes must not. */
    static final class Culprit {
        private final Thread thread = new Thread(() -> {});
        private final io.ballast.core.loop.Timer timer = thread::interrupt;

        long now() {
            timer.cancel();
            return System.nanoTime();
        }
    }
}
