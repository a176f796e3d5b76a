package io.ballast.linux.netlink;

import static io.ballast.linux.netlink.NetlinkMessageTest.hex;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.linux.Capability;
import io.ballast.linux.Errno;
import io.ballast.linux.Host;
import io.ballast.linux.LinuxException;
import io.ballast.linux.NetworkNamespace;
import io.ballast.linux.netlink.NetlinkMessage.Writer;
import io.ballast.linux.netlink.TrafficControl.Classifier;
import io.ballast.linux.netlink.TrafficControl.Direction;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import org.junit.jupiter.api.Test;

class TrafficControlTest {
    private static final int CREATE = NetlinkMessage.NLM_F_CREATE;
    private static final int EXCL = NetlinkMessage.NLM_F_EXCL;
    private static final int ANY = 0x0300;
    private static final Classifier OURS = new Classifier(3, Direction.EGRESS, 1, ANY, 1, "bpf", "c.o:[tc]");

    private static String change(Writer request) {
        return hex(request.flag(NetlinkMessage.NLM_F_ACK).finish(0x6b018363));
    }

    private static String captured(String bytes) {
        return bytes.replaceAll("\\s", "");
    }

    // What tc(8) of iproute2 6.1.0 sends for the same, as strace shows it.

    @Test
    void aClsactComesAndGoesAsWithTc() {
        assertThat(change(TrafficControl.clsact(TrafficControl.RTM_NEWQDISC, CREATE | EXCL, 3)))
                .isEqualTo(captured("""
                        30 00 00 00 24 00 05 06  63 83 01 6b 00 00 00 00
                        00 00 00 00 03 00 00 00  00 00 ff ff f1 ff ff ff
                        00 00 00 00 0b 00 01 00  63 6c 73 61 63 74 00 00
                        """));
        assertThat(change(TrafficControl.clsact(TrafficControl.RTM_DELQDISC, 0, 3)))
                .startsWith(captured("30 00 00 00 25 00 05 00"));
    }

    @Test
    void aProgramComesAndGoesAsWithTc() {
        assertThat(change(TrafficControl.putProgram(OURS, CREATE | EXCL, 9))).isEqualTo(captured("""
                58 00 00 00 2c 00 05 06  63 83 01 6b 00 00 00 00
                00 00 00 00 03 00 00 00  01 00 00 00 f3 ff ff ff
                00 03 01 00 08 00 01 00  62 70 66 00 2c 00 02 00
                08 00 06 00 09 00 00 00  0d 00 07 00 63 2e 6f 3a
                5b 74 63 5d 00 00 00 00  08 00 09 00 01 00 00 00
                08 00 08 00 01 00 00 00
                """));
        assertThat(change(TrafficControl.removal(OURS))).isEqualTo(captured("""
                2c 00 00 00 2d 00 05 00  63 83 01 6b 00 00 00 00
                00 00 00 00 03 00 00 00  01 00 00 00 f3 ff ff ff
                00 03 01 00 08 00 01 00  62 70 66 00
                """));
    }

    @Test
    void whatWouldNameAllClassifiersIsRefused() {
        assertThatThrownBy(() -> TrafficControl.removal(new Classifier(3, Direction.EGRESS, 1, ANY, 0, "bpf", "")))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> TrafficControl.removal(new Classifier(3, Direction.EGRESS, 0, ANY, 1, "bpf", "")))
                .isInstanceOf(IllegalArgumentException.class);
        assertThatThrownBy(() -> TrafficControl.putProgram(
                        new Classifier(3, Direction.EGRESS, 1, ANY, 1, "bpf", "x".repeat(256)), CREATE, 9))
                .isInstanceOf(IllegalArgumentException.class);
    }

    @Test
    void aClassifierIsReadAndAPriorityAsAWholeIsNot() throws Exception {
        byte[] told = TrafficControl.putProgram(OURS, 0, 9).finish(1);
        NetlinkMessage message = NetlinkMessage.split(ByteBuffer.wrap(told).order(ByteOrder.nativeOrder()))
                .getFirst();
        assertThat(TrafficControl.classifier(message, Direction.EGRESS)).isEqualTo(OURS);
        byte[] whole = TrafficControl.putProgram(new Classifier(3, Direction.EGRESS, 1, ANY, 0, "bpf", ""), CREATE, 9)
                .finish(1);
        message = NetlinkMessage.split(ByteBuffer.wrap(whole).order(ByteOrder.nativeOrder()))
                .getFirst();
        assertThat(TrafficControl.classifier(message, Direction.EGRESS)).isNull();
    }

    @Test
    void theKernelKnowsWhoHasAClsact() throws Exception {
        Host.assumeCapability(Capability.SYS_ADMIN);
        try (NetworkNamespace here = NetworkNamespace.create();
                RouteNetlink netlink = here.call(RouteNetlink::open);
                TrafficControl control = here.call(TrafficControl::open)) {
            netlink.create(new NewLink.Veth("a0", "b0", null));
            int a0 = netlink.link("a0").orElseThrow().index();
            assertThat(control.clsacts()).isEmpty();
            assertThat(control.classifiers(a0, Direction.EGRESS)).isEmpty();
            control.addClsact(a0);
            assertThat(control.clsacts()).containsExactly(a0);
            assertThatThrownBy(() -> control.addClsact(a0))
                    .isInstanceOfSatisfying(
                            LinuxException.class, e -> assertThat(e.errno()).isEqualTo(Errno.EEXIST));
            assertThat(control.classifiers(a0, Direction.EGRESS)).isEmpty();
            control.removeClsact(a0);
            assertThat(control.clsacts()).isEmpty();
            assertThat(control.classifiers(999, Direction.EGRESS)).isEmpty();
        }
    }
}
