package io.ballast.linux;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import java.util.List;
import java.util.concurrent.Callable;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

@Timeout(60)
class SysctlTest {
    private static final String ARP_IGNORE = "net.ipv4.conf.lo.arp_ignore";

    /** Settings of the network belong to the namespace, and so vanish with it. */
    private static <T> T inNewNamespace(Callable<T> task) throws Exception {
        Host.assumeCapability(Capability.SYS_ADMIN);
        try (NetworkNamespace namespace = NetworkNamespace.create()) {
            return namespace.call(task);
        }
    }

    @Test
    void valueIsChangedAndGivenBack() throws Exception {
        inNewNamespace(() -> {
            String before = Sysctl.read(ARP_IGNORE);
            Sysctl.Change change = Sysctl.write(ARP_IGNORE, "7");
            assertThat(change).isEqualTo(new Sysctl.Change(ARP_IGNORE, before, "7"));
            assertThat(Sysctl.read("net/ipv4/conf/lo/arp_ignore")).isEqualTo("7");
            assertThat(Sysctl.undo(change)).isTrue();
            assertThat(Sysctl.read(ARP_IGNORE)).isEqualTo(before);
            assertThat(Sysctl.undo(change)).describedAs("twice").isTrue();
            return null;
        });
    }

    @Test
    void valueThatSomebodyElseSetStays() throws Exception {
        inNewNamespace(() -> {
            Sysctl.Change change = Sysctl.write(ARP_IGNORE, "1");
            Sysctl.write(ARP_IGNORE, "2");
            assertThat(Sysctl.undo(change)).isFalse();
            assertThat(Sysctl.read(ARP_IGNORE)).isEqualTo("2");
            return null;
        });
    }

    @Test
    void valueThatIsThereAlreadyNeedsNoPermission() throws Exception {
        String here = Sysctl.read(ARP_IGNORE);
        Sysctl.Change change = Host.withoutCapabilities(() -> Sysctl.write(ARP_IGNORE, here));
        assertThat(change.after()).isEqualTo(change.before());
        assertThat(Sysctl.undo(change)).isTrue();
    }

    @Test
    void severalNumbersAreOneValue() throws Exception {
        inNewNamespace(() -> {
            Sysctl.Change change = Sysctl.write("net.ipv4.ping_group_range", "10 20");
            assertThat(change.after()).isEqualTo("10\t20");
            assertThat(Sysctl.undo(change)).isTrue();
            return null;
        });
    }

    @Test
    void failuresNameTheSettingAndWhatToDo() throws Exception {
        assertThatThrownBy(() -> Sysctl.read("net.ipv4.conf.nosuch.arp_ignore"))
                .hasMessage("open sysctl net.ipv4.conf.nosuch.arp_ignore: ENOENT: no such file or directory"
                        + " (this kernel has no such setting, or no such interface)");
        inNewNamespace(() -> {
            assertThatThrownBy(() -> Sysctl.write(ARP_IGNORE, "many"))
                    .hasMessage("write sysctl " + ARP_IGNORE + "=many: EINVAL: invalid argument (not a value for it)");
            return null;
        });
        // Nobody may write this one, whoever runs the test.
        assertThatThrownBy(() -> Sysctl.write("kernel.ostype", "BeOS"))
                .hasMessage("open sysctl kernel.ostype=BeOS: EACCES: permission denied"
                        + " (not permitted to this user; as root: sysctl -w kernel.ostype=BeOS)");
    }

    @Test
    void namesThatLeadElsewhereAreRefused() {
        for (String name :
                List.of("", "kernel", "/etc/passwd", "net/../../etc/passwd", "net/ipv4/", "net//ipv4", "net/./ipv4")) {
            assertThatThrownBy(() -> Sysctl.read(name)).describedAs(name).isInstanceOf(IllegalArgumentException.class);
        }
    }
}
