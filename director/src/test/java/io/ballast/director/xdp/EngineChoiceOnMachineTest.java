package io.ballast.director.xdp;

import static io.ballast.director.xdp.Village.VIP4;
import static io.ballast.director.xdp.Village.await;
import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.SchedulerKind;
import io.ballast.director.ConnectionQuery;
import io.ballast.director.ConnectionReport;
import io.ballast.director.EngineEvents;
import io.ballast.director.Engines;
import io.ballast.director.Forwarding;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.ForwardingEngine;
import io.ballast.director.Forwardings;
import io.ballast.director.RecordedEvents;
import io.ballast.director.ServiceStatistics;
import io.ballast.linux.bpf.BpfProgram;
import io.ballast.linux.bpf.XdpLink;
import java.net.Inet4Address;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import org.jspecify.annotations.Nullable;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** A service that leaves the choice to the node, where the engine xdp can be had, and where it cannot for each reason. */
@Timeout(60)
final class EngineChoiceOnMachineTest {
    private static final XdpDirector.Capacity ROOM = new XdpDirector.Capacity(16, 256, 4, 10_000);

    private final List<String> events = new CopyOnWriteArrayList<>();
    private final List<String> userspace = new CopyOnWriteArrayList<>();
    private Village village;
    private @Nullable ExecutorService beside;
    private @Nullable Engines engines;
    private @Nullable XdpOnDemand xdp;

    @BeforeEach
    void build() throws Exception {
        village = new Village();
    }

    @AfterEach
    void tearDown() throws Exception {
        Engines open = engines;
        if (open != null) {
            village.onLoop(() -> {
                open.close();
                return true;
            });
        }
        if (beside != null) {
            beside.shutdown();
        }
        if (village != null) {
            XdpDirector.dismantle(village.bpffs, "test");
            village.close();
        }
    }

    private final class Userspace implements ForwardingEngine {
        @Override
        public String name() {
            return "userspace";
        }

        @Override
        public void put(Forwarding service) {
            userspace.add("put " + service.service() + " " + service.method());
        }

        @Override
        public void remove(String service) {
            userspace.add("remove " + service);
        }

        @Override
        public CompletionStage<List<ServiceStatistics>> statistics() {
            return CompletableFuture.completedFuture(List.of());
        }

        @Override
        public CompletionStage<ConnectionReport> connections(ConnectionQuery query) {
            return CompletableFuture.failedFuture(new UnsupportedOperationException());
        }

        @Override
        public void close() {}
    }

    private final class Machine implements XdpOnDemand.Kernel {
        private final List<String> devices;
        private final XdpDirector.Capacity room;
        private final EngineEvents told;

        Machine(List<String> devices, XdpDirector.Capacity room, EngineEvents told) {
            this.devices = devices;
            this.room = room;
            this.told = told;
        }

        @Override
        public List<String> devices(Set<InetAddress> services, Set<InetAddress> translated) {
            return devices;
        }

        @Override
        public XdpOnDemand.Opened open(List<String> on, XdpDirector.Capacity capacity, java.util.OptionalLong seed)
                throws java.io.IOException {
            return XdpDirector.open(village.loop, told, village.bpffs, "test", on, room);
        }

        @Override
        public Map<InetAddress, String> impostors(List<String> on, Set<Inet4Address> addresses) {
            return Map.of();
        }

        @Override
        public XdpOnDemand.Heard answers(List<XdpOnDemand.Asked> paths, Set<InetAddress> services) {
            return XdpOnDemand.Heard.nothing();
        }

        @Override
        public void dismantle() throws java.io.IOException {
            var _ = XdpDirector.dismantle(village.bpffs, "test");
        }
    }

    /** @param thread of the director's namespace, which asks the kernel */
    private void begin(List<String> devices, XdpDirector.Capacity room, ExecutorService thread) throws Exception {
        beside = thread;
        engines = village.onLoop(() -> new Engines(village.loop, new RecordedEvents(events), new Userspace(), told -> {
            XdpOnDemand made = new XdpOnDemand(village.loop, told, new Machine(devices, room, told), thread);
            xdp = made;
            return made;
        }));
        put();
    }

    private void put() throws Exception {
        village.onLoop(() -> {
            engines().put(web());
            return true;
        });
    }

    private Engines engines() {
        return Objects.requireNonNull(engines);
    }

    private ExecutorService thread() throws Exception {
        return village.director.call(EngineChoiceOnMachineTest::newThread);
    }

    private static ExecutorService newThread() throws Exception {
        ExecutorService thread =
                Executors.newSingleThreadExecutor(Thread.ofPlatform().daemon().factory());
        // It has the namespace and the capabilities of the thread that makes it.
        var _ = thread.submit(() -> true).get();
        return thread;
    }

    private static Forwarding web() {
        return Forwardings.of(
                        "web",
                        ForwardingMethod.FULLNAT,
                        SchedulerKind.RR,
                        List.of(new Endpoint(VIP4, Village.PORT, Endpoint.Protocol.TCP)),
                        List.of(server("www1", "10.9.1.2"), server("www2", "10.9.2.2")))
                .by(EngineKind.AUTO, ForwardingMethod.FULLNAT);
    }

    private static Forwarding.Server server(String name, String address) {
        return new Forwarding.Server(
                name, new InetSocketAddress(Frames.address(address), Village.PORT), 1, 0, ServerState.UP);
    }

    /** Userspace has it, for this reason, and of xdp there is nothing. */
    private void fell(String reason) throws Exception {
        await("userspace has it", () -> userspace.contains("put web PROXY"));
        assertThat(village.onLoop(() -> engines().engineOf("web"))).hasValue(EngineKind.USERSPACE);
        assertThat(village.onLoop(() -> engines().whyNotXdp("web")))
                .hasValueSatisfying(why -> assertThat(why).contains(reason));
        await("told", () -> !events.isEmpty());
        assertThat(events)
                .filteredOn(event -> event.startsWith("note web: "))
                .singleElement()
                .asString()
                .startsWith("note web: web is served by the engine userspace, not xdp: ")
                .contains(reason);
        assertThat(events).noneMatch(event -> event.startsWith("notListening"));
        village.onLoop(() -> Objects.requireNonNull(xdp).settle())
                .toCompletableFuture()
                .get();
        assertThat(village.bpffs.resolve("ballast/test")).doesNotExist();
    }

    private Optional<XdpLink.Attached> attached(String device) throws Exception {
        return village.director.call(() -> XdpLink.attached(village.index(device)));
    }

    @Test
    void whereXdpCanBeHadItServes() throws Exception {
        begin(List.of("eth0", "eth1", "eth2"), ROOM, thread());
        await("xdp listens", () -> events.contains("listening web 192.0.2.1:80/tcp"));
        await("the ways are known", () -> {
            try {
                return village.ask(VIP4).startsWith("www");
            } catch (java.net.ConnectException e) {
                return false;
            }
        });
        assertThat(userspace).containsExactly("remove web");
        assertThat(village.onLoop(() -> engines().engineOf("web"))).hasValue(EngineKind.XDP);
        // Its interface goes: packets come to nobody, and it waits for it.
        village.cut();
        await("told", () -> events.stream().anyMatch(event -> event.contains("there is no interface eth0")));
        put();
        assertThat(userspace).containsExactly("remove web");
    }

    @Test
    void withoutPermissionUserspaceHasIt() throws Exception {
        begin(
                List.of("eth0"),
                ROOM,
                village.director.call(() -> Village.withoutCapabilities(EngineChoiceOnMachineTest::newThread)));
        fell("CAP_BPF is missing");
        assertThat(attached("eth0")).isEmpty();
    }

    @Test
    void withSomebodyElsesProgramOnOneInterfaceUserspaceHasIt() throws Exception {
        int eth1 = village.index("eth1");
        try (DataPlane other = DataPlane.load(
                        "director", new DataPlane.Sizes(4, 4, 16, 16, 16, 16), DataPlane.Features.NONE, 1);
                BpfProgram program = other.program("director");
                XdpLink link =
                        village.director.call(() -> XdpLink.attach(program, eth1, "eth1", XdpLink.Mode.NATIVE))) {
            assertThat(link).isNotNull();
            begin(List.of("eth0", "eth1"), ROOM, thread());
            fell("eth1: attach");
            assertThat(attached("eth0")).isEmpty();
            assertThat(attached("eth1").orElseThrow().programId())
                    .isEqualTo(program.info().id());
        }
    }

    @Test
    void whereTheKernelRefusesTheMemoryUserspaceHasIt() throws Exception {
        begin(List.of("eth0"), new XdpDirector.Capacity(16, 256, 4, 2_000_000_000), thread());
        fell("the kernel refuses the memory for the tables of the engine xdp");
        assertThat(attached("eth0")).isEmpty();
    }

    @Test
    void whereTheDriverHasNoNativeModeUserspaceHasIt() throws Exception {
        begin(List.of("lo"), ROOM, thread());
        fell("the driver of lo has no native XDP");
        assertThat(attached("lo")).isEmpty();
    }
}
