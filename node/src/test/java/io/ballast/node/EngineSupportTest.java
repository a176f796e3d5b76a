package io.ballast.node;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.config.reader.DescriptionReader;
import io.ballast.node.EngineSupport.Verdict;
import java.util.List;
import org.junit.jupiter.api.Test;

/** What `ballast doctor` says of a service's engine. */
class EngineSupportTest {
    private static ServiceSpec web(String more) {
        return new DescriptionReader()
                .read("ballast.yaml", """
                        services:
                          web: { listen: "192.0.2.80:80/tcp", servers: ["192.0.2.11:80"], %s }
                        """.formatted(more))
                .description()
                .orElseThrow()
                .services()
                .firstEntry()
                .getValue();
    }

    private record Machine(List<String> missing, List<String> trouble, boolean here) implements EngineSupport.Machine {
        @Override
        public List<String> troubles(ServiceSpec service) {
            return trouble;
        }

        @Override
        public boolean has(ServiceSpec service) {
            return here;
        }
    }

    private static Verdict of(String more, Machine machine) {
        return EngineSupport.verdicts(List.of(web(more)), machine).getFirst();
    }

    private static final Machine ABLE = new Machine(List.of(), List.of(), true);
    private static final Machine POOR = new Machine(List.of("needs CAP_BPF", "libbpf is missing"), List.of(), true);
    private static final Machine TAKEN = new Machine(List.of(), List.of("eth0: somebody's program"), true);

    @Test
    void theEngineOfTheDescriptionIsTheAnswerWhereItCanBeHad() {
        assertThat(of("engine: userspace", POOR))
                .isEqualTo(new Verdict("web", EngineKind.USERSPACE, true, "as the description has it"));
        assertThat(of("engine: xdp, forwarding: dr", ABLE))
                .isEqualTo(new Verdict("web", EngineKind.XDP, true, "forwarding dr"));
        assertThat(of("engine: xdp, forwarding: nat", new Machine(List.of(), List.of(), false)))
                .isEqualTo(new Verdict(
                        "web",
                        EngineKind.XDP,
                        true,
                        "forwarding nat; its addresses are not on this machine at the moment"));
    }

    @Test
    void whatCannotBeHadIsSaidWithEveryReason() {
        assertThat(of("engine: xdp, forwarding: dr", POOR))
                .isEqualTo(new Verdict("web", EngineKind.XDP, false, "needs CAP_BPF; libbpf is missing"));
        assertThat(of("engine: xdp, forwarding: dr", TAKEN))
                .isEqualTo(new Verdict("web", EngineKind.XDP, false, "eth0: somebody's program"));
    }

    @Test
    void whereTheNodeChoosesItIsTheNextBest() {
        assertThat(of("engine: auto", ABLE).engine()).isEqualTo(EngineKind.XDP);
        assertThat(of("engine: auto", POOR))
                .isEqualTo(new Verdict("web", EngineKind.USERSPACE, true, "needs CAP_BPF; libbpf is missing"));
        assertThat(of("engine: auto", TAKEN))
                .isEqualTo(new Verdict("web", EngineKind.USERSPACE, true, "eth0: somebody's program"));
        assertThat(of("engine: auto, proxy-protocol: v2", ABLE))
                .isEqualTo(new Verdict("web", EngineKind.USERSPACE, true, "only userspace speaks the PROXY protocol"));
    }
}
