package io.ballast.director;

import static io.ballast.director.Services.check;
import static io.ballast.director.Services.server;
import static io.ballast.director.Services.service;
import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import io.ballast.core.config.CheckSpec.InitialState;
import io.ballast.core.config.HostPort;
import io.ballast.core.config.ServerSpec;
import io.ballast.core.config.ServerSpec.AdminState;
import io.ballast.core.config.ServiceSpec;
import io.ballast.core.event.Event.Severity;
import io.ballast.director.Forwarding.ServerState;
import io.ballast.director.VirtualService.Health;
import io.ballast.director.VirtualService.State;
import java.net.InetSocketAddress;
import java.time.Instant;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import org.junit.jupiter.api.Test;

class VirtualServiceTest {
    private static final Instant NOW = Instant.ofEpochSecond(1000);

    /** What came out, in order: {@code forward www1=UP ...} and {@code type subject}. */
    private final List<String> out = new ArrayList<>();

    private final List<String> messages = new ArrayList<>();

    private final VirtualService.Output output = new VirtualService.Output() {
        @Override
        public void forward(Forwarding forwarding) {
            StringBuilder line = new StringBuilder("forward");
            forwarding
                    .servers()
                    .forEach(s -> line.append(" ")
                            .append(s.name())
                            .append("=")
                            .append(s.state())
                            .append(s.weight() == 1 ? "" : "*" + s.weight()));
            out.add(line.toString());
        }

        @Override
        public void happened(
                Instant now, Severity severity, String type, String subject, String message, Map<String, String> data) {
            out.add(type + " " + subject);
            messages.add(message);
        }
    };

    private VirtualService start(ServiceSpec spec) {
        return start(spec, Map.of(), Optional.empty());
    }

    private VirtualService start(
            ServiceSpec spec, Map<String, ServerOverride> overrides, Optional<Forwarding> adopted) {
        return new VirtualService(NOW, spec, Services::literal, overrides, adopted, output);
    }

    private static ServiceSpec farm() {
        return service(List.of(server("www1", "10.1.0.1"), server("www2", "10.1.0.2")), true);
    }

    private VirtualService running(ServiceSpec spec) {
        VirtualService web = start(spec);
        for (ServerSpec s : spec.servers()) {
            web.onHealth(NOW, s.name(), true, "connected");
        }
        out.clear();
        messages.clear();
        return web;
    }

    @Test
    void staysSilentUntilSomethingIsKnown() {
        VirtualService web = start(farm());
        assertThat(out).isEmpty();
        assertThat(web.settled()).isFalse();

        web.onHealth(NOW, "www1", false, "refused");
        assertThat(out).isEmpty();

        web.onHealth(NOW, "www2", true, "connected");
        assertThat(out)
                .containsExactly(
                        "forward www1=DOWN www2=UP", "server.down web/www1", "server.up web/www2", "service.up web");
        assertThat(web.state()).isEqualTo(State.UP);
    }

    @Test
    void showsTheSorryServerOnceAllWereFoundDown() {
        VirtualService web = start(farm());
        web.onHealth(NOW, "www1", false, "refused");
        web.onHealth(NOW, "www2", false, "refused");
        assertThat(web.state()).isEqualTo(State.SORRY);
        assertThat(out)
                .containsExactly(
                        "forward www1=DOWN www2=DOWN",
                        "server.down web/www1",
                        "server.down web/www2",
                        "service.sorry web");
    }

    @Test
    void aServerLeavesAndComesBack() {
        VirtualService web = running(farm());
        web.onHealth(NOW.plusSeconds(1), "www1", false, "HTTP 503, expected 200-299");
        web.onHealth(NOW.plusSeconds(2), "www1", false, "HTTP 503, expected 200-299");
        web.onHealth(NOW.plusSeconds(3), "www1", true, "HTTP 200");
        assertThat(out)
                .containsExactly(
                        "forward www1=DOWN www2=UP",
                        "server.down web/www1",
                        "forward www1=UP www2=UP",
                        "server.up web/www1");
        assertThat(messages).first().isEqualTo("web/www1 is down: HTTP 503, expected 200-299");
        assertThat(web.servers().getFirst().since()).isEqualTo(NOW.plusSeconds(3));
    }

    @Test
    void theSorryServerLeavesWithTheFirstRecovery() {
        VirtualService web = running(farm());
        web.onHealth(NOW, "www1", false, "refused");
        web.onHealth(NOW, "www2", false, "refused");
        web.onHealth(NOW, "www1", true, "connected");
        assertThat(out)
                .filteredOn(line -> line.startsWith("service"))
                .containsExactly("service.sorry web", "service.up web");
    }

    @Test
    void withoutASorryServerTheServiceIsDown() {
        VirtualService web = running(service(List.of(server("www1", "10.1.0.1")), false));
        web.onHealth(NOW, "www1", false, "refused");
        assertThat(web.state()).isEqualTo(State.DOWN);
        assertThat(messages)
                .last()
                .isEqualTo("web is down: 0 of 1 servers take connections, and there is no sorry server");
    }

    @Test
    void serversThatPassAsUpNeedNoFirstResult() {
        ServerSpec checked = server("a", "10.1.0.1", 1, AdminState.ENABLED, List.of(check(InitialState.UP)));
        ServerSpec unchecked = server("b", "10.1.0.2", 1, AdminState.ENABLED, List.of());
        VirtualService web = start(service(List.of(checked, unchecked), false));
        assertThat(out).containsExactly("forward a=UP b=UP", "service.up web");
        assertThat(web.servers()).extracting(VirtualService.RealServer::health).containsOnly(Health.UP);
    }

    @Test
    void weightZeroAndDrainKeepConnectionsButTakeNoNewOnes() throws RefusedException {
        VirtualService web = running(farm());
        web.change(NOW, "www1", Optional.of(0), Optional.empty());
        web.change(NOW, "www2", Optional.empty(), Optional.of(AdminState.DRAIN));
        assertThat(out)
                .containsExactly(
                        "admin.weight web/www1",
                        "forward www1=DRAINING*0 www2=UP",
                        "admin.state web/www2",
                        "forward www1=DRAINING*0 www2=DRAINING",
                        "service.sorry web");
    }

    @Test
    void noWishMakesAFailedServerTakeConnections() throws RefusedException {
        VirtualService web = running(farm());
        web.onHealth(NOW, "www1", false, "refused");
        web.change(NOW, "www1", Optional.of(100), Optional.of(AdminState.ENABLED));
        assertThat(web.servers().getFirst().state()).isEqualTo(ServerState.DOWN);
        web.change(NOW, "www1", Optional.empty(), Optional.of(AdminState.DISABLED));
        assertThat(web.servers().getFirst().state()).isEqualTo(ServerState.DISABLED);
    }

    @Test
    void aWishOutlivesAReloadThatDoesNotConcernItsServer() throws RefusedException {
        VirtualService web = running(farm());
        web.change(NOW, "www1", Optional.of(5), Optional.empty());
        out.clear();
        web.configure(
                NOW, service(List.of(server("www1", "10.1.0.1"), server("www3", "10.1.0.3")), true), Services::literal);
        assertThat(out).containsExactly("forward www1=UP*5 www3=DOWN");
        assertThat(web.servers().getFirst().overridden()).isTrue();
    }

    @Test
    void aWishLapsesWhenTheDescriptionOfItsServerChanges() throws RefusedException {
        VirtualService web = running(farm());
        web.change(NOW, "www1", Optional.of(5), Optional.empty());
        web.remove(NOW, "www2");
        out.clear();
        ServerSpec heavier = server("www1", "10.1.0.1", 3, AdminState.ENABLED, List.of(check(InitialState.DOWN)));
        web.configure(NOW, service(List.of(heavier, server("www2", "10.1.0.2")), true), Services::literal);
        assertThat(out).containsExactly("admin.lapsed web/www1", "forward www1=UP*3");
        assertThat(web.overrides()).containsOnlyKeys("www2");
    }

    @Test
    void aWishThatEqualsTheDescriptionIsNoOverride() throws RefusedException {
        VirtualService web = running(farm());
        web.change(NOW, "www1", Optional.of(5), Optional.empty());
        web.change(NOW, "www1", Optional.of(1), Optional.empty());
        assertThat(web.overrides()).isEmpty();
    }

    @Test
    void serversComeAndGoAtRunTime() throws RefusedException {
        VirtualService web = running(farm());
        HostPort address = new HostPort("10.1.0.9", 80);
        web.add(NOW, "www9", address, Services.literal(address), 2, 10);
        web.onHealth(NOW, "www9", true, "connected");
        web.remove(NOW, "www1");
        assertThat(out)
                .containsExactly(
                        "admin.add web/www9",
                        "forward www1=UP www2=UP www9=DOWN*2",
                        "forward www1=UP www2=UP www9=UP*2",
                        "server.up web/www9",
                        "admin.remove web/www1",
                        "forward www2=UP www9=UP*2");
        assertThat(web.servers().getLast().spec().checks()).isEqualTo(web.spec().checks());
        web.remove(NOW, "www9");
        assertThat(web.overrides()).containsOnlyKeys("www1");
        assertThatThrownBy(() -> web.remove(NOW, "www9"))
                .isInstanceOf(RefusedException.class)
                .hasMessage("service web has no server www9; it has www2");
        web.add(NOW, "www1", new HostPort("10.1.0.1", 80), Services.literal(new HostPort("10.1.0.1", 80)), 1, 0);
        assertThat(web.overrides()).isEmpty();
    }

    @Test
    void aRemovedServerIsRememberedUntilItIsEnabled() throws RefusedException {
        VirtualService web = running(farm());
        web.remove(NOW, "www1");
        assertThat(web.removed()).extracting(ServerSpec::name).containsExactly("www1");
        assertThatThrownBy(() -> web.change(NOW, "www1", Optional.of(3), Optional.empty()))
                .hasMessage("web/www1 was removed at run time; `ballast server enable web www1` brings it back");
        HostPort address = new HostPort("10.1.0.1", 80);
        assertThatThrownBy(() -> web.add(NOW, "10.1.0.1:80", address, Services.literal(address), 1, 0))
                .hasMessage("10.1.0.1:80 is server www1 of the description, which was removed at run time;"
                        + " `ballast server enable web www1` brings it back");
        out.clear();
        web.change(NOW, "www1", Optional.empty(), Optional.of(AdminState.ENABLED));
        assertThat(out).containsExactly("admin.state web/www1", "forward www1=DOWN www2=UP");
        assertThat(web.removed()).isEmpty();
        assertThat(web.overrides()).isEmpty();
    }

    @Test
    void aServerWhoseNameHasNoAddressIsDownUntilItHas() {
        VirtualService.Addresses addresses = new VirtualService.Addresses() {
            @Override
            public InetSocketAddress of(HostPort hostPort) {
                return hostPort.host().equals("10.1.0.1")
                        ? InetSocketAddress.createUnresolved("www1.example", 80)
                        : Services.literal(hostPort);
            }

            @Override
            public Optional<String> trouble(ServerSpec server) {
                return server.name().equals("www1") ? Optional.of("no address") : Optional.empty();
            }
        };
        VirtualService web = new VirtualService(NOW, farm(), addresses, Map.of(), Optional.empty(), output);
        web.onHealth(NOW, "www2", true, "connected");
        assertThat(out).contains("forward www2=UP", "server.down web/www1");
        assertThat(web.servers().getFirst().state()).isEqualTo(ServerState.DOWN);
        assertThat(web.servers().getFirst().reason()).isEqualTo("no address");
        out.clear();
        web.configure(NOW, farm(), Services::literal);
        web.onHealth(NOW, "www1", true, "connected");
        assertThat(out).contains("forward www1=UP www2=UP");
    }

    @Test
    void refusesWhatMakesNoSenseAndChangesNothing() {
        VirtualService web = running(farm());
        HostPort taken = new HostPort("10.1.0.2", 80);
        assertThatThrownBy(() -> web.add(NOW, "www1", taken, Services.literal(taken), 1, 0))
                .hasMessage("service web already has a server www1");
        assertThatThrownBy(() -> web.add(NOW, "www9", taken, Services.literal(taken), 1, 0))
                .hasMessage("10.1.0.2:80 is already server www2 of service web");
        assertThatThrownBy(() -> web.change(NOW, "www1", Optional.of(65536), Optional.empty()))
                .hasMessage("weight 65536: expected 0 to 65535");
        assertThatThrownBy(() -> web.change(NOW, "www1", Optional.empty(), Optional.empty()))
                .isInstanceOf(RefusedException.class);
        assertThat(out).isEmpty();
        assertThat(web.overrides()).isEmpty();
    }

    @Test
    void anAdoptedServiceStartsWithWhatTheProcessBeforeKnew() {
        VirtualService before = running(farm());
        before.onHealth(NOW, "www1", false, "refused");
        Optional<Forwarding> left = before.forwarding();
        out.clear();

        VirtualService after = start(farm(), Map.of(), left);
        assertThat(out).containsExactly("forward www1=DOWN www2=UP");
        assertThat(after.forwarding()).isEqualTo(left);
        after.onHealth(NOW, "www1", true, "connected");
        assertThat(out).endsWith("forward www1=UP www2=UP", "server.up web/www1");
    }

    @Test
    void adoptionKnowsNothingOfAServerThatMoved() {
        Optional<Forwarding> left = running(farm()).forwarding();
        start(service(List.of(server("www1", "10.1.0.7"), server("www2", "10.1.0.2")), true), Map.of(), left);
        assertThat(out).containsExactly("forward www1=DOWN www2=UP");
    }

    @Test
    void aServerWhoseChecksWereTakenAwayComesUp() {
        VirtualService web = running(farm());
        web.onHealth(NOW, "www1", false, "refused");
        out.clear();
        ServerSpec unchecked = server("www1", "10.1.0.1", 1, AdminState.ENABLED, List.of());
        web.configure(NOW, service(List.of(unchecked, server("www2", "10.1.0.2")), true), Services::literal);
        assertThat(out).containsExactly("forward www1=UP www2=UP", "server.up web/www1");
        web.onHealth(NOW, "www1", false, "a late result");
        assertThat(out).hasSize(2);
    }

    @Test
    void lateResultsOfRemovedServersAreIgnored() throws RefusedException {
        VirtualService web = running(farm());
        web.remove(NOW, "www1");
        out.clear();
        web.onHealth(NOW, "www1", false, "refused");
        assertThat(out).isEmpty();
    }

    @Test
    void theSameDescriptionAgainChangesNothing() {
        VirtualService web = running(farm());
        web.configure(NOW, farm(), Services::literal);
        assertThat(out).isEmpty();
    }
}
