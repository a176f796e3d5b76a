package io.ballast.lab.farm;

import io.ballast.cli.Failure;
import io.ballast.core.config.reader.DescriptionReader;
import io.ballast.core.config.reader.ReadResult;
import io.ballast.lab.farm.LabRecord.Kind;
import io.ballast.lab.topology.Topology;
import java.io.IOException;
import java.nio.file.DirectoryStream;
import java.nio.file.FileAlreadyExistsException;
import java.nio.file.Files;
import java.nio.file.LinkOption;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermissions;
import java.time.Duration;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.Callable;
import java.util.function.Consumer;
import java.util.stream.Stream;

/** The labs of this user: {@code RUN_DIR/lab/NAME} for each. */
public final class LabStore {
    /** Labs that this process has taken away, or is about to: nothing may be started in them any more. */
    private static final Set<Path> GONE = new HashSet<>();

    /** Whether this process is ending while a lab of it is up. */
    private static volatile boolean ending;

    private final Path directory;

    /**
     * @param run the run directory, see {@link io.ballast.node.Directories}
     */
    public LabStore(Path run) {
        this.directory = run.toAbsolutePath().resolve("lab");
    }

    /**
     * What is known of a lab.
     *
     * @param namespaces whether its nodes are network namespaces
     * @param source the file it was made from
     * @param ready whether it was once wholly up, and all that it started still runs
     * @param orphaned whether it belongs to a process that was killed
     */
    public record Info(
            String name,
            Path directory,
            boolean namespaces,
            String source,
            Instant created,
            boolean ready,
            boolean orphaned,
            List<RunningProcess> processes) {}

    /** A process that a lab started; {@code alive} says whether it still runs. */
    public record RunningProcess(String node, String role, long pid, boolean alive) {}

    /**
     * Brings a lab up.
     *
     * @param progress is told each step
     * @throws IOException when that fails; everything is removed again then
     */
    public Lab up(Lab.Plan plan, Consumer<String> progress) throws IOException, InterruptedException {
        sweep(progress);
        Path lab = directory.resolve(plan.name());
        make(lab, plan.name(), progress);
        boolean up = false;
        Thread hook = new Thread(() -> {
            ending = Files.isDirectory(lab);
            removeQuietly(lab);
        });
        Runtime.getRuntime().addShutdownHook(hook);
        try {
            Lab result = new Lab(plan, lab);
            result.start(progress);
            up = true;
            return result;
        } finally {
            if (!up) {
                remove(lab);
            }
            // An owned lab is removed whenever this process ends; the hook does no harm when it is gone by then.
            if (!plan.owned() || !up) {
                unhook(hook);
            }
        }
    }

    /** Whether this process was interrupted and is taking its lab away. */
    public static boolean ending() {
        return ending;
    }

    /**
     * Does what a verb does. When the process is interrupted meanwhile, what fails because the lab vanishes underneath
     * is no news: this then waits for the end.
     */
    public static int untilInterrupted(Callable<Integer> work) throws Exception {
        try {
            return work.call();
        } catch (IOException | InterruptedException | Failure e) {
            if (ending) {
                Thread.sleep(Duration.ofMinutes(1));
            }
            throw e;
        }
    }

    /** The names of all labs. */
    public List<String> names() throws IOException {
        List<String> names = new ArrayList<>();
        try (DirectoryStream<Path> labs = Files.newDirectoryStream(directory, Files::isDirectory)) {
            labs.forEach(l -> names.add(String.valueOf(l.getFileName())));
        } catch (NoSuchFileException e) {
            return List.of();
        }
        names.sort(Comparator.naturalOrder());
        return names;
    }

    /** What is known of a lab; empty where there is none of this name. */
    public Optional<Info> info(String name) throws IOException {
        Path lab = directory.resolve(name);
        return LabRecord.read(lab).map(record -> {
            List<RunningProcess> processes = record.leaders().stream()
                    .map(l -> new RunningProcess(l.node(), l.role(), l.id().pid(), l.id().alive()))
                    .toList();
            return new Info(
                    name,
                    lab,
                    record.kind() == Kind.NAMESPACES,
                    record.source(),
                    record.created(),
                    record.ready() && processes.stream().allMatch(RunningProcess::alive),
                    record.orphaned(),
                    processes);
        });
    }

    /** What a lab is made of, from the description that its daemons read. */
    public static Topology topology(Info lab) throws IOException {
        ReadResult result = new DescriptionReader().read(lab.directory().resolve("ballast.yaml"));
        return result.description()
                .map(Topology::of)
                .orElseThrow(() -> new IOException(
                        "the lab's description is wrong: " + result.errors().getFirst()));
    }

    /** What a lab's nodes are in virtual routers, those that run and answer. */
    public static List<RouterRole> roles(Info lab) {
        return lab.processes().stream()
                .filter(process -> process.alive() && process.role().equals(Daemon.ROLE))
                .map(RunningProcess::node)
                .distinct()
                .flatMap(node ->
                        RouterRole.of(node, Daemon.control(lab.directory().resolve(node))).stream())
                .toList();
    }

    /** A program on a lab's node, ready to start. */
    public ProcessBuilder at(String name, String node, List<String> command) throws IOException {
        Path lab = directory.resolve(name);
        LabRecord record = LabRecord.read(lab).orElseThrow(() -> new IOException("there is no lab " + name));
        return at(lab, record, name, node, command);
    }

    /** The file of a program: as it is where it is a path, else the first executable of a PATH, else the bare name. */
    public static Path program(String name, String path) {
        if (name.indexOf('/') < 0) {
            for (String folder : path.split(":", -1)) {
                Path file = Path.of(folder.isEmpty() ? "." : folder, name);
                if (Files.isExecutable(file) && !Files.isDirectory(file)) {
                    return file;
                }
            }
        }
        return Path.of(name);
    }

    /** Takes a lab away; one that is not there is no error. */
    public boolean down(String name) throws IOException {
        Path lab = directory.resolve(name);
        boolean there = Files.isDirectory(lab);
        remove(lab);
        return there;
    }

    /** Takes away the labs whose owner was killed. */
    private void sweep(Consumer<String> progress) throws IOException {
        for (String name : names()) {
            Path lab = directory.resolve(name);
            if (LabRecord.read(lab).map(LabRecord::orphaned).orElse(false)) {
                progress.accept("taking away what is left of the lab " + name + ", whose owner was killed");
                remove(lab);
            }
        }
    }

    private void make(Path lab, String name, Consumer<String> progress) throws IOException {
        makeDirectory();
        try {
            create(lab);
        } catch (FileAlreadyExistsException e) {
            if (info(name).map(Info::ready).orElse(false)) {
                throw new IOException("the lab " + name + " is up already; look at it with: ballast lab status " + name
                        + ", or end it with: ballast lab down " + name);
            }
            progress.accept("taking away what is left of an earlier lab " + name);
            remove(lab);
            makeDirectory();
            create(lab);
        }
    }

    /** In /tmp anybody may have been faster, and would then own what the lab trusts. */
    private void makeDirectory() throws IOException {
        Path run = Objects.requireNonNull(directory.getParent(), "RUN_DIR/lab");
        if (!Files.isDirectory(run) && run.getParent() != null) {
            Files.createDirectories(run.getParent());
            create(run);
        }
        Object self = Files.getAttribute(Path.of("/proc/self"), "unix:uid");
        Object owner = Files.getAttribute(run, "unix:uid", LinkOption.NOFOLLOW_LINKS);
        if (!owner.equals(self) && !owner.equals(0)) {
            throw new IOException(run + " belongs to user " + owner + ", not to " + self
                    + ": remove it, or choose another with BALLAST_RUN_DIR");
        }
        Files.createDirectories(directory);
    }

    private static synchronized void create(Path lab) throws IOException {
        GONE.remove(lab);
        Files.createDirectory(lab, PosixFilePermissions.asFileAttribute(PosixFilePermissions.fromString("rwx------")));
    }

    static ProcessBuilder at(Path lab, LabRecord record, String name, String node, List<String> command)
            throws IOException {
        List<String> words = new ArrayList<>();
        if (record.kind() == Kind.NAMESPACES) {
            words.addAll(List.of(Programs.require("ip", "iproute2"), "netns", "exec", LabRecord.namespace(name, node)));
        }
        words.addAll(command);
        ProcessBuilder builder = new ProcessBuilder(words);
        Map<String, String> environment = builder.environment();
        environment.put(OwnProcesses.VARIABLE, lab.toString());
        Path home = lab.resolve(node);
        environment.put("BALLAST_RUN_DIR", home.resolve("run").toString());
        environment.put("BALLAST_STATE_DIR", home.resolve("state").toString());
        String launcher = System.getProperty("ballast.launcher", "");
        Path programs = launcher.isEmpty() ? null : Path.of(launcher).getParent();
        if (programs != null) {
            // So that `ballast` in the lab is this one.
            environment.merge("PATH", programs.toString(), (path, own) -> own + ":" + path);
        }
        return builder;
    }

    /** A step that makes something in a lab. */
    interface Step {
        void run() throws IOException, InterruptedException;
    }

    /**
     * Does a step that makes something in a lab, unless the lab is being taken away: on Ctrl-C that happens while the
     * rest of the program is still running.
     */
    static synchronized void make(Path lab, Step step) throws IOException, InterruptedException {
        if (GONE.contains(lab)) {
            throw new IOException("the lab in " + lab + " is being taken away");
        }
        step.run();
    }

    /** Whether a lab of this process has been taken away. */
    static synchronized boolean gone(Path lab) {
        return GONE.contains(lab);
    }

    /** Ends a lab's processes, then its network, then its files. */
    static synchronized void remove(Path lab) throws IOException {
        GONE.add(lab);
        if (!Files.isDirectory(lab)) {
            return;
        }
        LabRecord record =
                LabRecord.read(lab).orElseGet(() -> LabRecord.of(Kind.LOOPBACK, "", Optional.empty(), List.of()));
        try {
            OwnProcesses.end(lab, record);
            Pins.unmount(lab);
            Network.remove(record.namespaces());
        } catch (InterruptedException e) {
            Thread.currentThread().interrupt();
            throw new IOException("interrupted while taking away the lab in " + lab + "; call `ballast lab down`", e);
        }
        try (Stream<Path> files = Files.walk(lab)) {
            for (Path file : files.sorted(Comparator.reverseOrder()).toList()) {
                Files.deleteIfExists(file);
            }
        }
        Path labs = lab.getParent();
        if (labs != null && removeIfEmpty(labs) && labs.getParent() != null) {
            removeIfEmpty(labs.getParent());
        }
    }

    /** Whether it is gone now; a directory that holds something else stays. */
    private static boolean removeIfEmpty(Path directory) {
        try {
            return Files.deleteIfExists(directory);
        } catch (IOException e) {
            return false;
        }
    }

    private static void removeQuietly(Path lab) {
        try {
            if (ending) {
                System.err.println("\ninterrupted; taking the lab away");
            }
            remove(lab);
        } catch (IOException e) {
            System.err.println("error: " + e.getMessage());
        }
    }

    private static void unhook(Thread hook) {
        try {
            Runtime.getRuntime().removeShutdownHook(hook);
        } catch (IllegalStateException e) {
            // The process is ending, and the hook is doing its work already.
        }
    }
}
