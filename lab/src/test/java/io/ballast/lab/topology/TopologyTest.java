package io.ballast.lab.topology;

import static io.ballast.lab.topology.Descriptions.check;
import static io.ballast.lab.topology.Descriptions.description;
import static io.ballast.lab.topology.Descriptions.device;
import static io.ballast.lab.topology.Descriptions.farm;
import static io.ballast.lab.topology.Descriptions.http;
import static io.ballast.lab.topology.Descriptions.node;
import static io.ballast.lab.topology.Descriptions.server;
import static io.ballast.lab.topology.Descriptions.service;
import static io.ballast.lab.topology.Descriptions.tcp;
import static io.ballast.lab.topology.Descriptions.withSorry;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.tuple;

import io.ballast.core.config.Description;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.NodeSpec;
import io.ballast.core.config.ProbeSpec;
import io.ballast.core.config.ProbeSpec.TextMatch;
import io.ballast.core.config.ServerSpec;
import io.ballast.core.config.reader.DescriptionReader;
import io.ballast.lab.topology.Topology.Link;
import io.ballast.lab.topology.Topology.Node;
import io.ballast.lab.topology.Topology.Segment;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.nio.file.Path;
import java.util.List;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class TopologyTest {
    private static final List<NodeSpec> PAIR =
            List.of(node("lb", device("eth0", "10.0.0.1/24")), node("s", device("eth0", "10.0.0.2/24")));
    private static final List<Endpoint> LISTEN = List.of(tcp("10.0.0.1", 80));

    private static Node nodeOf(Topology topology, String name) {
        return topology.node(name).orElseThrow();
    }

    private static Site site(Topology topology, String name) {
        return topology.sites().stream()
                .filter(s -> s.name().equals(name))
                .findFirst()
                .orElseThrow();
    }

    private static InetSocketAddress at(String address, int port) {
        return new InetSocketAddress(InetAddress.ofLiteral(address), port);
    }

    private static Topology pair(ServerSpec server, ProbeSpec probe) {
        return Topology.of(description(PAIR, service("web", LISTEN, List.of(), List.of(server), check(probe))));
    }

    @Test
    void interfacesThatShareANetworkShareASegment() {
        Topology topology = Topology.of(farm());
        assertThat(topology.segments())
                .containsExactly(
                        new Segment(List.of("192.168.9.0/24", "fd00:9::/64")), new Segment(List.of("10.1.0.0/24")));
        assertThat(nodeOf(topology, "director").links())
                .extracting(Link::device, Link::segment)
                .containsExactly(tuple("eth0", 0), tuple("eth1", 1));
        assertThat(nodeOf(topology, "www2").links().getFirst().segment()).isEqualTo(1);
        assertThat(nodeOf(topology, "client").links().getFirst().segment()).isZero();
    }

    @Test
    void ofARangeThePortOfWebPagesIsTriedAndAnswers() {
        InetAddress address = InetAddress.ofLiteral("10.0.0.1");
        Endpoint all = new Endpoint(address, 1, 65_535, Endpoint.Protocol.TCP);
        assertThat(Topology.port(all)).isEqualTo(80);
        assertThat(Topology.port(new Endpoint(address, 81, 90, Endpoint.Protocol.TCP)))
                .isEqualTo(81);
        assertThat(Topology.port(new Endpoint(address, 1, 90, Endpoint.Protocol.UDP)))
                .isEqualTo(1);
        assertThat(Topology.port(new Endpoint(address, 443, Endpoint.Protocol.TCP)))
                .isEqualTo(443);
        Topology topology = Topology.of(
                description(PAIR, service("web", List.of(all), List.of(), List.of(server("s", "10.0.0.2", 0)))));
        assertThat(site(topology, "s").listen()).contains(at("10.0.0.2", 80), at("10.0.0.2", 65_535));
    }

    @Test
    void anInterfaceWithTwoNetworksJoinsTheirSegments() {
        Topology topology = Topology.of(description(List.of(
                node("a", device("eth0", "10.0.0.1/24")),
                node("b", device("eth0", "fd00::2/64")),
                node("c", device("eth0", "10.9.0.3/24")),
                node("both", device("eth0", "10.0.0.9/24", "fd00::9/64")))));
        assertThat(topology.segments()).hasSize(2);
        int joined = nodeOf(topology, "both").links().getFirst().segment();
        assertThat(nodeOf(topology, "a").links().getFirst().segment()).isEqualTo(joined);
        assertThat(nodeOf(topology, "b").links().getFirst().segment()).isEqualTo(joined);
        assertThat(nodeOf(topology, "c").links().getFirst().segment()).isNotEqualTo(joined);
    }

    @Test
    void rolesComeFromTheServices() {
        Topology topology = Topology.of(farm());
        assertThat(topology.directors()).extracting(Node::name).containsExactly("director");
        assertThat(topology.clients()).extracting(Node::name).containsExactly("client");
        assertThat(topology.sites()).extracting(Site::node).containsExactly("www1", "www2");
    }

    @Test
    void onlyNodesThatDoNotDirectHaveADefaultRoute() {
        Topology topology = Topology.of(farm());
        assertThat(nodeOf(topology, "www1").gateways()).containsExactly(InetAddress.ofLiteral("10.1.0.254"));
        assertThat(nodeOf(topology, "client").gateways())
                .containsExactly(InetAddress.ofLiteral("192.168.9.1"), InetAddress.ofLiteral("fd00:9::1"));
        assertThat(nodeOf(topology, "director").gateways()).isEmpty();
    }

    @Test
    void namedDirectorsWinOverTheHoldersOfTheAddress() {
        Topology topology = Topology.of(description(PAIR, service("web", LISTEN, List.of("s"), List.of())));
        assertThat(topology.directors()).extracting(Node::name).containsExactly("s");
    }

    @Test
    void aServiceOnNobodysAddressIsDirectedByEveryDaemon() {
        Topology topology = Topology.of(description(
                PAIR,
                service("web", LISTEN, List.of(), List.of()),
                service("any", List.of(tcp("0.0.0.0", 81)), List.of(), List.of())));
        assertThat(nodeOf(topology, "lb").directs()).containsExactly("web", "any");
        assertThat(nodeOf(topology, "s").directs()).isEmpty();
    }

    @Test
    void withoutAnyHolderTheFirstNodeThatIsNoServerDirects() {
        Description description = description(
                PAIR, service("any", List.of(tcp("0.0.0.0", 81)), List.of(), List.of(server("x", "10.0.0.1", 80))));
        assertThat(Topology.of(description).directors()).extracting(Node::name).containsExactly("s");
    }

    @Test
    void aVirtualAddressThatNoNodeHasIsGivenToItsDirector() {
        Topology topology =
                Topology.of(description(PAIR, service("web", List.of(tcp("10.0.0.77", 80)), List.of("lb"), List.of())));
        assertThat(nodeOf(topology, "lb").address(false)).contains(InetAddress.ofLiteral("10.0.0.1"));
        assertThat(nodeOf(topology, "lb").links().getFirst().addresses()).contains(Descriptions.cidr("10.0.0.77/24"));
        Topology elsewhere = Topology.of(
                description(PAIR, service("web", List.of(tcp("203.0.113.7", 80)), List.of("lb"), List.of())));
        assertThat(nodeOf(elsewhere, "lb").links())
                .contains(new Link("lo", -1, List.of(Descriptions.cidr("203.0.113.7/32"))));
    }

    @Test
    void anAddressThatDirectorsShareIsGivenToNone() {
        Topology topology = Topology.of(new DescriptionReader()
                .read(Path.of("../examples/ultramonkey.yaml"))
                .description()
                .orElseThrow());
        assertThat(topology.directors()).extracting(Node::name).containsExactly("director1", "director2");
        assertThat(nodeOf(topology, "www1").receives()).containsExactly("web");
        assertThat(topology.nodes())
                .flatExtracting(Node::links)
                .flatExtracting(Link::addresses)
                .doesNotContain(Descriptions.cidr("192.168.6.240/24"));
    }

    @Test
    void realServersWhosePacketsAreStillTheServicesRunTheDaemonAndAnswerEverywhere() throws Exception {
        Description description = new DescriptionReader()
                .read(Path.of("../examples/xdp.yaml"))
                .description()
                .orElseThrow();
        Topology topology = Topology.of(description);
        assertThat(topology.directors()).extracting(Node::name).containsExactly("director");
        assertThat(topology.daemons()).extracting(Node::name).containsExactly("director", "www1", "www2", "www3");
        assertThat(topology.clients()).extracting(Node::name).containsExactly("client");
        assertThat(nodeOf(topology, "www1").receives()).containsExactly("web", "web6", "echo");
        assertThat(nodeOf(topology, "director").receives()).isEmpty();
        assertThat(topology.nodes())
                .filteredOn(Node::xdp)
                .extracting(Node::name)
                .doesNotContain("client");
        Site www1 = site(topology, "www1");
        assertThat(www1.listen()).containsExactly(at("192.168.10.11", 80), at("fd00:10::11", 80));
        assertThat(www1.everywhere()).containsExactly(80);
        assertThat(www1.single()).isEmpty();
        assertThat(topology.echoes())
                .hasSize(3)
                .contains(new Echo("www1", "www1", List.of(at("192.168.10.11", 7), at("192.168.10.80", 7))));
        assertThat(topology.notes()).isEmpty();
    }

    @Test
    void theServersOfAUdpServiceSendBackWhatTheyGetAndSpeakNoHttp() {
        List<Endpoint> listen = List.of(new Endpoint(InetAddress.ofLiteral("10.0.0.1"), 53, Endpoint.Protocol.UDP));
        Topology topology = Topology.of(description(
                PAIR,
                service(
                        "names",
                        listen,
                        List.of(),
                        List.of(server("s", "10.0.0.2", 53)),
                        check(new ProbeSpec.Udp("a?", Optional.of(new TextMatch("b", false)))))));
        assertThat(topology.echoes()).containsExactly(new Echo("s", "s", List.of(at("10.0.0.2", 53))));
        assertThat(topology.sites()).isEmpty();
        assertThat(topology.clients()).isEmpty();
        assertThat(topology.notes()).singleElement().asString().contains("another answer");
    }

    @Test
    void aServerWithoutAPortAnswersAtThoseOfItsService() {
        InetAddress address = InetAddress.ofLiteral("10.0.0.1");
        List<Endpoint> listen = List.of(
                new Endpoint(address, 80, Endpoint.Protocol.TCP),
                new Endpoint(address, 8000, 8001, Endpoint.Protocol.TCP),
                new Endpoint(address, 9000, 9999, Endpoint.Protocol.UDP));
        Topology topology = Topology.of(description(
                PAIR,
                service(
                        "many",
                        listen,
                        List.of(),
                        List.of(server("s", "10.0.0.2", 0)),
                        check(http("/health", 200, 200)),
                        check(new ProbeSpec.Icmp(56)))));
        assertThat(site(topology, "s").listen())
                .containsExactly(at("10.0.0.2", 80), at("10.0.0.2", 8000), at("10.0.0.2", 8001));
        assertThat(topology.echoes().getFirst().listen())
                .hasSize(9)
                .startsWith(at("10.0.0.2", 9000), at("10.0.0.2", 9001))
                .endsWith(at("10.0.0.2", 9999));
    }

    @Test
    void aServersPagesSatisfyItsChecks() {
        Site www1 = site(Topology.of(farm()), "www1");
        assertThat(www1.listen()).containsExactly(at("10.1.0.1", 80));
        assertThat(www1.pages())
                .containsOnlyKeys("/", "/index.html")
                .containsEntry("/index.html", new Site.Page(200, "www1: Test Page\n"));
    }

    @Test
    void aCheckOfAnotherPortAndStatusIsSatisfiedToo() {
        ProbeSpec probe = http("/health?full=1", 204, 204);
        Topology topology = Topology.of(description(
                PAIR, service("web", LISTEN, List.of(), List.of(server("s", "10.0.0.2", 80)), check(probe, 8080))));
        Site site = site(topology, "s");
        assertThat(site.listen()).containsExactly(at("10.0.0.2", 80), at("10.0.0.2", 8080));
        assertThat(site.pages().get("/health")).isEqualTo(new Site.Page(204, "s: Test Page\n"));
        assertThat(topology.notes()).isEmpty();
    }

    @Test
    void whatTheLabCannotStandInForIsSaid() {
        ServerSpec server = server("s", "10.0.0.2", 80);
        assertThat(pair(server, new ProbeSpec.Redis(Optional.empty())).notes())
                .singleElement()
                .asString()
                .contains("redis");
        assertThat(pair(server, http("/", 200, 299, new TextMatch("^v[0-9]+$", true)))
                        .notes())
                .singleElement()
                .asString()
                .contains("/^v[0-9]+$/");
        assertThat(pair(server, http("/", 200, 299, new TextMatch("Test.Page", true)))
                        .notes())
                .isEmpty();
        assertThat(pair(server("ghost", "10.0.0.99", 80), http("/", 200, 299)).notes())
                .singleElement()
                .asString()
                .contains("web/ghost (10.0.0.99:80)");
    }

    @Test
    void aSorryServerOnTheLoopbackAddressRunsOnTheDirector() {
        Topology topology = Topology.of(description(
                PAIR,
                withSorry(service("web", LISTEN, List.of(), List.of(server("s", "10.0.0.2", 80))), "127.0.0.1", 8081)));
        Site sorry = site(topology, Site.SORRY);
        assertThat(sorry.node()).isEqualTo("lb");
        assertThat(sorry.listen()).containsExactly(at("127.0.0.1", 8081));
        assertThat(sorry.pages().values()).extracting(Site.Page::status).containsExactly(503);
    }
}
