package io.ballast.node;

import static io.ballast.node.Descriptions.description;
import static io.ballast.node.Descriptions.node;
import static io.ballast.node.Descriptions.service;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.core.config.Description;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.config.reader.DescriptionReader;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class NodeRoleTest {
    private final Description farm = description(
            List.of(node("d1", "192.0.2.1", "192.0.2.100"), node("d2", "192.0.2.2"), node("www1", "10.1.0.1")),
            service("web", "192.0.2.100", List.of()),
            service("mail", "192.0.2.101", List.of("d2")),
            service("local", "127.0.0.1", List.of()));

    private static List<String> names(List<ServiceSpec> services) {
        return services.stream().map(ServiceSpec::name).toList();
    }

    @Test
    void theHostsNameNamesTheNode() throws Exception {
        assertThat(NodeRole.choose(farm, Optional.empty(), "d2")).isEqualTo("d2");
        assertThat(NodeRole.choose(farm, Optional.empty(), "d2.example.org")).isEqualTo("d2");
        assertThat(NodeRole.choose(farm, Optional.of("d1"), "d2")).isEqualTo("d1");
    }

    @Test
    void theOnlyDirectorIsMeantWhereNoNameFits() throws Exception {
        Description one = description(
                List.of(node("d1", "192.0.2.100"), node("www1", "10.1.0.1")), service("web", "192.0.2.100", List.of()));
        assertThat(NodeRole.choose(one, Optional.empty(), "laptop")).isEqualTo("d1");
        assertThatThrownBy(() -> NodeRole.choose(farm, Optional.empty(), "laptop"))
                .hasMessageContaining("more than one node (d1, d2)")
                .hasMessageContaining("--node");
    }

    @Test
    void aNodeThatIsNotDescribedIsRefused() {
        assertThatThrownBy(() -> NodeRole.choose(farm, Optional.of("d9"), "d1"))
                .hasMessage("--node d9: the description has no such node; it has d1, d2, www1");
    }

    @Test
    void aDescriptionWithoutNodesRunsAnywhere() throws Exception {
        Description bare = description(List.of(), service("web", "127.0.0.1", List.of()));
        assertThat(NodeRole.choose(bare, Optional.empty(), "laptop")).isEqualTo("laptop");
        assertThat(names(NodeRole.services(bare, "laptop"))).containsExactly("web");
    }

    @Test
    void aNodeBalancesWhatItMayComeToHaveTheAddressOf() throws Exception {
        Description shared = new DescriptionReader()
                .read(Path.of("../examples/ultramonkey.yaml"))
                .description()
                .orElseThrow();
        assertThat(names(NodeRole.services(shared, "director1"))).containsExactly("web");
        assertThat(names(NodeRole.services(shared, "director2"))).containsExactly("web");
        assertThat(NodeRole.services(shared, "www1")).isEmpty();
        assertThat(NodeRole.choose(shared, Optional.empty(), "director2")).isEqualTo("director2");
        assertThatThrownBy(() -> NodeRole.choose(shared, Optional.empty(), "laptop"))
                .hasMessageContaining("more than one node (director1, director2)");
    }

    @Test
    void aNodeBalancesWhatNamesItOrWhatItHasTheAddressOf() {
        assertThat(names(NodeRole.services(farm, "d1"))).containsExactly("web", "local");
        assertThat(names(NodeRole.services(farm, "d2"))).containsExactly("mail", "local");
    }
}
