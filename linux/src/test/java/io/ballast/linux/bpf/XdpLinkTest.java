package io.ballast.linux.bpf;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.linux.Capability;
import io.ballast.linux.Errno;
import io.ballast.linux.Host;
import io.ballast.linux.LinuxException;
import io.ballast.linux.Offload;
import java.lang.foreign.Arena;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.BeforeEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

/** Attaching, pinning and replacing, on a veth pair in a namespace of its own. */
@Timeout(60)
class XdpLinkTest {
    private Wire wire;
    private BpfObject object;
    private BpfProgram count;
    private BpfProgram pass;
    private int left;

    @BeforeEach
    void makeWire() throws Exception {
        wire = Wire.make();
        left = wire.ifindex("left");
        object = Fixture.open();
        object.load();
        count = object.program("count");
        pass = object.program("pass");
    }

    @AfterEach
    void removeWire() throws Exception {
        // Null when the test was skipped or failed before it was made.
        for (AutoCloseable each : new AutoCloseable[] {count, pass, object, wire}) {
            if (each != null) {
                each.close();
            }
        }
    }

    private XdpLink attach(BpfProgram program, XdpLink.Mode mode) throws Exception {
        return wire.call(() -> XdpLink.attach(program, left, "left", mode));
    }

    private Optional<XdpLink.Attached> attached() throws Exception {
        return wire.call(() -> XdpLink.attached(left));
    }

    @ParameterizedTest
    @EnumSource
    void programIsAttachedReplacedAndDetached(XdpLink.Mode mode) throws Exception {
        assertThat(attached()).isEmpty();
        try (XdpLink link = attach(pass, mode)) {
            int passId = pass.info().id();
            assertThat(link.info()).isEqualTo(new XdpLink.Info(link.info().id(), passId, left));
            assertThat(attached()).contains(new XdpLink.Attached(passId, "pass", mode));
            link.update(count);
            assertThat(link.info().programId()).isEqualTo(count.info().id());
            assertThatThrownBy(() -> link.update(count, pass))
                    .hasMessage("update XDP link of left to count: EPERM: operation not permitted"
                            + " (another program than pass runs)");
            link.update(pass, count);
            link.detach();
            assertThat(attached()).isEmpty();
        }
    }

    @Test
    void closingAnUnpinnedLinkDetaches() throws Exception {
        attach(pass, XdpLink.Mode.NATIVE).close();
        assertThat(attached()).isEmpty();
    }

    @Test
    void pinnedLinkProgramAndMapOutliveTheirDescriptors() throws Exception {
        int id;
        MapShape shape;
        try (XdpLink link = attach(pass, XdpLink.Mode.NATIVE);
                BpfMap settings = object.map("settings")) {
            id = link.info().id();
            shape = settings.info().shape();
            link.pin(wire.pins.resolve("link"));
            pass.pin(wire.pins.resolve("program"));
            settings.pin(wire.pins.resolve("settings"));
            assertThatThrownBy(() -> settings.pin(wire.pins.resolve("settings")))
                    .isInstanceOfSatisfying(
                            LinuxException.class, e -> assertThat(e.errno()).isEqualTo(Errno.EEXIST));
        }
        assertThat(attached()).isPresent();
        try (XdpLink again = XdpLink.openPinned(wire.pins.resolve("link"));
                BpfProgram program = BpfProgram.openPinned(wire.pins.resolve("program"));
                BpfMap settings = BpfMap.openPinned(wire.pins.resolve("settings"), shape)) {
            assertThat(again.info().id()).isEqualTo(id);
            assertThat(program.info()).isEqualTo(pass.info());
            assertThat(settings.info().shape()).isEqualTo(shape);
            again.update(count);
        }
        assertThat(attached().orElseThrow().program()).isEqualTo("count");
        Files.delete(wire.pins.resolve("link"));
        // The kernel lets go of the last reference after a grace period.
        Host.await("detached", () -> {
            try {
                return attached().isEmpty();
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        });
    }

    @Test
    void leftoversOfAnotherShapeAreRecognised() throws Exception {
        try (BpfMap old = BpfMap.create("flows", new MapShape(MapType.HASH, 8, 8, 16, 0));
                XdpLink link = attach(pass, XdpLink.Mode.NATIVE)) {
            old.pin(wire.pins.resolve("flows"));
            link.pin(wire.pins.resolve("link"));
            pass.pin(wire.pins.resolve("pass"));
        }
        MapShape wanted = new MapShape(MapType.LRU_HASH, 8, 12, 16, 0);
        assertThatThrownBy(() -> BpfMap.openPinned(wire.pins.resolve("flows"), wanted))
                .isInstanceOf(WrongPinException.class)
                .hasMessage("open pinned " + wire.pins
                        + "/flows: is a hash of 16 entries, key 8 B, value 8 B, flags 0x0, not a lru_hash of 16"
                        + " entries, key 8 B, value 12 B, flags 0x0: a leftover of another version or description;"
                        + " remove it");
        assertThatThrownBy(() -> BpfMap.openPinned(wire.pins.resolve("link"))).isInstanceOf(WrongPinException.class);
        assertThatThrownBy(() -> BpfMap.openPinned(wire.pins.resolve("pass")))
                .isInstanceOf(WrongPinException.class)
                .hasMessageContaining("is a bpf-prog, not a bpf-map");
        assertThatThrownBy(() -> BpfProgram.openPinned(wire.pins.resolve("flows")))
                .isInstanceOf(WrongPinException.class)
                .hasMessageContaining("is a bpf-map, not a bpf-prog");
        assertThatThrownBy(() -> XdpLink.openPinned(wire.pins.resolve("flows"))).isInstanceOf(WrongPinException.class);
        assertThatThrownBy(() -> BpfMap.openPinned(wire.pins.resolve("nosuch")))
                .hasMessage("open pinned " + wire.pins + "/nosuch: ENOENT: no such file or directory");
        assertThatThrownBy(() -> pass.pin(wire.pins.resolveSibling("pass")))
                .hasMessageEndingWith(" is not in a bpffs)");
    }

    @Test
    void foreignProgramIsNamed() throws Exception {
        try (XdpLink first = attach(count, XdpLink.Mode.NATIVE)) {
            int id = first.info().programId();
            for (XdpLink.Mode mode : XdpLink.Mode.values()) {
                assertThatThrownBy(() -> attach(pass, mode))
                        .isInstanceOfSatisfying(
                                LinuxException.class, e -> assertThat(e.errno()).isIn(Errno.EBUSY, Errno.EEXIST))
                        .hasMessageStartingWith("attach pass to left in " + mode + " mode: E")
                        .hasMessageEndingWith("(XDP program " + id + " \"count\" is attached in native mode)");
            }
            assertThat(first.info().programId()).isEqualTo(id);
        }
    }

    @Test
    void programThatPassesAllStaysWithoutAnybodyHoldingIt() throws Exception {
        int right = wire.ifindex("right");
        int id;
        try (BpfProgram passing = BpfProgram.passing()) {
            wire.change(netlink -> netlink.setXdp(right, passing.fd()));
            id = passing.info().id();
        }
        assertThat(wire.call(() -> XdpLink.attached(right)))
                .contains(new XdpLink.Attached(id, "passing", XdpLink.Mode.NATIVE));
        long before = wire.received("right");
        wire.change(netlink -> netlink.keepNeighbour(left, InetAddress.ofLiteral("fe80::9"))); // asks who has it
        Host.await("received through the program", () -> {
            try {
                return wire.received("right") > before;
            } catch (Exception e) {
                throw new IllegalStateException(e);
            }
        });
    }

    @Test
    void offloadsAreSwitched() throws Exception {
        for (Offload offload : Offload.values()) {
            for (boolean on : new boolean[] {false, true}) {
                boolean set = wire.call(() -> {
                    offload.set("left", on);
                    return offload.of("left");
                });
                assertThat(set).as("%s", offload).isEqualTo(on);
            }
        }
        assertThatThrownBy(() -> wire.call(() -> Offload.TRANSMIT_CHECKSUM.of("nosuch")))
                .hasMessage("ioctl SIOCETHTOOL TRANSMIT_CHECKSUM of nosuch: ENODEV: no such device");
    }

    @Test
    void interfaceThatGoesLeavesALinkThatHoldsNothing() throws Exception {
        try (XdpLink link = attach(pass, XdpLink.Mode.NATIVE)) {
            wire.change(netlink -> netlink.deleteLink(left));
            assertThat(link.info().ifindex()).isZero();
            assertThatThrownBy(() -> link.update(count))
                    .hasMessageEndingWith("ENOLINK: link has been severed (the interface is gone)");
            assertThatThrownBy(() -> attach(pass, XdpLink.Mode.NATIVE))
                    .hasMessageEndingWith("EINVAL: invalid argument (there is no interface with index " + left
                            + " in this network namespace)");
            assertThat(attached()).isEmpty();
        }
    }

    @Test
    void driverWithoutNativeModeIsNamed() throws Exception {
        int lo = wire.ifindex("lo");
        assertThatThrownBy(() -> wire.call(() -> XdpLink.attach(pass, lo, "lo", XdpLink.Mode.NATIVE)))
                .hasMessage("attach pass to lo in native mode: EOPNOTSUPP: operation not supported"
                        + " (the driver has no native XDP)");
        wire.call(() -> XdpLink.attach(pass, lo, "lo", XdpLink.Mode.GENERIC)).close();
    }

    @Test
    void mtuTooLargeForTheDriverIsNamed() throws Exception {
        int right = wire.ifindex("right");
        wire.change(netlink -> netlink.setMtu(right, 9000));
        assertThatThrownBy(() -> attach(pass, XdpLink.Mode.NATIVE))
                .hasMessageContaining("the MTU is too large for XDP");
    }

    @Test
    void threeCapabilitiesAreEnough() throws Exception {
        Set<Capability> three = Set.of(Capability.BPF, Capability.NET_ADMIN, Capability.PERFMON);
        wire.call(() -> Host.withCapabilities(three, () -> {
            try (BpfObject own = Fixture.open()) {
                own.load();
                try (BpfProgram program = own.program("count");
                        XdpLink link = XdpLink.attach(program, left, "left", XdpLink.Mode.NATIVE)) {
                    assertThat(link.info().ifindex()).isEqualTo(left);
                    assertThat(XdpLink.attached(left).orElseThrow().toString())
                            .isEqualTo("XDP program " + program.info().id() + " is attached in native mode");
                    return null;
                }
            }
        }));
    }

    @Test
    void whatIsMissingIsSaid() throws Exception {
        List<String> none = Host.withoutCapabilities(BpfSupport::missing);
        assertThat(none)
                .contains(
                        "CAP_BPF is missing: it is needed to load programs and make maps",
                        "CAP_NET_ADMIN is missing: it is needed to load XDP programs",
                        "CAP_PERFMON is missing: it is needed to load programs that compute with packet addresses");
        assertThat(BpfSupport.missing()).isEmpty();
    }

    @Test
    void liveFramesReallyLeave() throws Exception {
        int right = wire.ifindex("right");
        try (Arena arena = Arena.ofConfined();
                XdpLink link = attach(pass, XdpLink.Mode.NATIVE);
                // A veth takes such frames only when a program waits for them.
                XdpLink other = wire.call(() -> XdpLink.attach(pass, right, "right", XdpLink.Mode.NATIVE));
                BpfMap settings = object.map("settings")) {
            assertThat(link.info().programId()).isEqualTo(other.info().programId());
            settings.mmap(arena).set(ValueLayout.JAVA_LONG, 0, XdpAction.TX.number());
            MemorySegment frame = arena.allocate(60);
            frame.set(ValueLayout.JAVA_BYTE, 5, (byte) 0x0b);
            long before = wire.received("right");
            TestRun run = TestRun.of(frame).from(left, 0).times(100).live(8);
            TestRun.Result result = wire.call(() -> count.testRun(run));
            assertThat(result.returned()).isZero();
            Host.await("received", () -> {
                try {
                    return wire.received("right") - before >= 100;
                } catch (Exception e) {
                    throw new IllegalStateException(e);
                }
            });
        }
    }

    @Test
    void bpffsIsFoundOrMounted() throws Exception {
        assertThat(BpfFs.isMounted(wire.pins)).isTrue();
        assertThat(BpfFs.isMounted(wire.pins.resolveSibling("nosuch"))).isFalse();
        assertThat(BpfFs.isMounted(Path.of("/tmp"))).isFalse();
        assertThat(BpfFs.ensure(wire.pins)).isEqualTo(wire.pins);
    }
}
