package io.ballast.director.xdp;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.core.config.SchedulerKind;
import io.ballast.core.config.ServiceSpec;
import io.ballast.director.Forwarding;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.Forwardings;
import io.ballast.linux.Capability;
import java.io.IOException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.IntStream;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Assumptions;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;

/** That what is measured is what is meant. */
final class XdpBenchmarkTest {
    private XdpBenchmark benchmark;

    @BeforeEach
    void open() throws Exception {
        Bench.assumeLoading();
        benchmark = XdpBenchmark.open(new XdpBenchmark.Room(2, 64, 1, 4096));
    }

    @AfterEach
    void close() {
        if (benchmark != null) {
            benchmark.close();
        }
    }

    private static Forwarding web(SchedulerKind scheduler, InetAddress vip) {
        List<Forwarding.Server> servers = IntStream.rangeClosed(1, 4)
                .mapToObj(i -> new Forwarding.Server(
                        "s" + i, new InetSocketAddress(Frames.address("10.9.0." + i), 80), 1, 0, ServerState.UP))
                .toList();
        return Forwardings.of(
                "web",
                ForwardingMethod.TUNNEL,
                scheduler,
                List.of(new Endpoint(vip, XdpBenchmark.PORT, Endpoint.Protocol.TCP)),
                servers);
    }

    @Test
    void everyPacketOfEveryFamilyIsSentAndItsConnectionRemembered() throws Exception {
        for (InetAddress vip : new InetAddress[] {XdpBenchmark.VIP4, XdpBenchmark.VIP6}) {
            boolean ipv6 = vip.equals(XdpBenchmark.VIP6);
            benchmark.engine().put(web(SchedulerKind.WLC, vip));
            assertThat(benchmark.packets(ipv6, true, 64, 64)).isPositive();
            assertThat(benchmark.remembered()).isEqualTo(64);
            assertThat(benchmark.packets(ipv6, false, 64, 1000)).isPositive();
            assertThat(benchmark.remembered()).isEqualTo(64);
            benchmark.packets(ipv6, true, XdpBenchmark.NEW_EACH_TIME, 1000);
            assertThat(benchmark.remembered()).isBetween(1000, 1064);
            benchmark.forget();
            assertThat(benchmark.remembered()).isZero();
        }
        Forwarding tcp = web(SchedulerKind.MH, XdpBenchmark.VIP4);
        List<Endpoint> udp = List.of(new Endpoint(XdpBenchmark.VIP4, XdpBenchmark.PORT, Endpoint.Protocol.UDP));
        benchmark.engine().put(Forwardings.of("dns", tcp.method(), tcp.scheduler(), udp, tcp.servers()));
        assertThat(benchmark.datagrams(new byte[40], 64, 1000)).isPositive();
        Forwarding nat = Forwardings.of("web", ForwardingMethod.NAT, SchedulerKind.MH, tcp.listen(), tcp.servers());
        benchmark.engine().remove("dns");
        benchmark.engine().remove("web");
        benchmark.engine().put(nat.with(ServiceSpec.SynCookies.ALWAYS));
        assertThat(benchmark.greeted(1000)).isPositive();
        assertThat(benchmark.remembered()).isZero();
        for (XdpBenchmark.Floor floor : XdpBenchmark.Floor.values()) {
            assertThat(benchmark.floor(floor, 1000)).isPositive();
        }
        assertThat(benchmark.memory()).isBetween(100_000L, 10_000_000L);
        assertThat(benchmark.complaints()).isEmpty();
    }

    @Test
    void liveFramesArrive() throws Exception {
        Assumptions.assumeTrue(Capability.SYS_ADMIN.isEffective(), "needs " + Capability.SYS_ADMIN);
        try (LiveBenchmark wires = LiveBenchmark.open(new XdpBenchmark.Room(2, 64, 1, 4096))) {
            assertThat(wires.send(LiveBenchmark.Middle.REDIRECT, 64, 1000).lost())
                    .isZero();
            assertThat(wires.send(LiveBenchmark.Middle.DIRECTOR, 64, 1000).lost())
                    .as("without a service they are the kernel's")
                    .isEqualTo(1000);
            wires.engine().put(web(SchedulerKind.WLC, XdpBenchmark.VIP4));
            assertThat(wires.send(LiveBenchmark.Middle.DIRECTOR, 64, 1000).lost())
                    .isZero();
            assertThat(wires.complaints()).isEmpty();
        }
    }

    @Test
    void theKernelTranslatesThem() throws Exception {
        Assumptions.assumeTrue(Capability.SYS_ADMIN.isEffective(), "needs " + Capability.SYS_ADMIN);
        Path nft = Path.of("/usr/sbin/nft");
        Assumptions.assumeTrue(Files.isExecutable(nft), "needs nftables");
        try (LiveBenchmark wires = LiveBenchmark.open(new XdpBenchmark.Room(2, 64, 1, 4096))) {
            assertThat(wires.send(LiveBenchmark.Middle.KERNEL, 64, 1000).lost())
                    .as("it forwards nothing without being told")
                    .isEqualTo(1000);
            try {
                wires.translateByNftables(nft);
            } catch (IOException e) {
                // As in user-mode Linux.
                Assumptions.abort("this kernel has no nftables: " + e.getMessage());
            }
            assertThat(wires.send(LiveBenchmark.Middle.KERNEL, 64, 1000).lost()).isZero();
        }
    }

    @Test
    void aPacketThatIsNotSentIsNoMeasurement() {
        benchmark.engine().put(web(SchedulerKind.LBLC, XdpBenchmark.VIP4));
        assertThat(benchmark.complaints()).singleElement().asString().contains("no scheduler lblc");
        assertThatThrownBy(() -> benchmark.packets(false, false, 1, 10))
                .isInstanceOf(IOException.class)
                .hasMessage("bench4: of 10 packets only 0 were sent");
    }
}
