package io.ballast.director;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ForwardingMethod;
import java.net.InetAddress;
import java.util.ArrayDeque;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import org.junit.jupiter.api.Test;

class EnginesTest {
    private final List<String> calls = new ArrayList<>();

    private final class Recorder implements ForwardingEngine {
        private final EngineKind kind;
        private boolean answers = true;
        private Optional<Forwarding> last = Optional.empty();

        Recorder(EngineKind kind) {
            this.kind = kind;
        }

        @Override
        public String name() {
            return kind.yamlName();
        }

        @Override
        public void put(Forwarding service) {
            calls.add(name() + " put " + service.service());
            last = Optional.of(service);
        }

        @Override
        public void remove(String service) {
            calls.add(name() + " remove " + service);
        }

        @Override
        public CompletionStage<List<ServiceStatistics>> statistics() {
            return answers
                    ? CompletableFuture.completedFuture(
                            List.of(new ServiceStatistics(name(), 1, 0, 0, 0, 0, 0, List.of())))
                    : CompletableFuture.failedFuture(new IllegalStateException("it is away"));
        }

        @Override
        public CompletionStage<ConnectionReport> connections(ConnectionQuery query) {
            ConnectionInfo one = new ConnectionInfo(name(), "tcp", "", "", "", "", 0, 0, 0, 0);
            ConnectionReport.Count both = new ConnectionReport.Count("all", "www1", 1, 2, 3);
            return CompletableFuture.completedFuture(
                    new ConnectionReport(List.of(one, one), List.of(both), List.of("of " + name())));
        }

        @Override
        public void close() {
            calls.add(name() + " close");
        }
    }

    private final Recorder userspace = new Recorder(EngineKind.USERSPACE);
    private final Recorder xdp = new Recorder(EngineKind.XDP);
    private final List<String> events = new ArrayList<>();
    private final ArrayDeque<Runnable> loop = new ArrayDeque<>();
    private final List<EngineEvents> fromXdp = new ArrayList<>();
    private final Engines engines = new Engines(loop::add, new RecordedEvents(events), userspace, told -> {
        fromXdp.add(told);
        return xdp;
    });

    private static Forwarding forwarding(String name, ForwardingMethod method) {
        return Forwardings.of(name, method);
    }

    @Test
    void aServiceThatChangesItsEngineIsNeverWithoutOne() {
        engines.put(forwarding("web", ForwardingMethod.PROXY));
        engines.put(forwarding("web", ForwardingMethod.DR));
        engines.put(forwarding("web", ForwardingMethod.TUNNEL));
        engines.put(forwarding("web", ForwardingMethod.PROXY));
        assertThat(calls)
                .containsExactly(
                        "userspace put web",
                        "xdp remove web",
                        "xdp put web",
                        "userspace remove web",
                        "xdp put web",
                        "userspace put web",
                        "xdp remove web");
    }

    @Test
    void whatIsRemovedIsRemovedWhereverItMayBe() {
        engines.remove("left by a process before");
        engines.put(forwarding("web", ForwardingMethod.DR));
        engines.remove("web");
        engines.close();
        assertThat(calls)
                .containsExactly(
                        "userspace remove left by a process before",
                        "xdp remove left by a process before",
                        "xdp put web",
                        "userspace remove web",
                        "userspace remove web",
                        "xdp remove web",
                        "userspace close",
                        "xdp close");
    }

    @Test
    void figuresAreThoseOfEnginesWithServices() throws Exception {
        engines.put(forwarding("web", ForwardingMethod.DR));
        userspace.answers = false;
        assertThat(figures()).containsExactly("xdp");
        userspace.answers = true;
        engines.put(forwarding("old", ForwardingMethod.PROXY));
        assertThat(figures()).containsExactlyInAnyOrder("xdp", "userspace");
        assertThat(connections("web", 9).connections())
                .extracting(ConnectionInfo::service)
                .containsExactly("xdp", "xdp");
        ConnectionReport all = connections("", 3);
        assertThat(all.connections()).hasSize(3);
        assertThat(all.counts()).containsExactly(new ConnectionReport.Count("all", "www1", 2, 4, 6));
        assertThat(all.total()).isEqualTo(12);
        assertThat(all.notes()).containsExactly("of xdp", "of userspace");
    }

    private ConnectionReport connections(String service, int limit) throws Exception {
        return engines.connections(ConnectionQuery.list(service, limit))
                .toCompletableFuture()
                .get();
    }

    private List<String> figures() throws Exception {
        return engines.statistics().toCompletableFuture().get().stream()
                .map(ServiceStatistics::service)
                .toList();
    }

    private static final Endpoint ENDPOINT =
            new Endpoint(InetAddress.ofLiteral("192.0.2.1"), 80, Endpoint.Protocol.TCP);

    private static Forwarding auto(String name) {
        return Forwardings.of(name, ForwardingMethod.FULLNAT, ENDPOINT).by(EngineKind.AUTO, ForwardingMethod.FULLNAT);
    }

    private void run() {
        while (!loop.isEmpty()) {
            loop.remove().run();
        }
    }

    @Test
    void whatXdpTakesIsTakenFromTheOtherOnceItListens() {
        engines.put(auto("web"));
        assertThat(calls).containsExactly("xdp put web");
        fromXdp.getFirst().listening("web", ENDPOINT);
        assertThat(calls).containsExactly("xdp put web", "userspace remove web");
        assertThat(events).containsExactly("listening web 192.0.2.1:80/tcp");
        assertThat(engines.engineOf("web")).hasValue(EngineKind.XDP);
        assertThat(engines.whyNotXdp("web")).isEmpty();
        // Packets come to no engine where their interface is gone.
        fromXdp.getFirst().notListening("web", ENDPOINT, "there is no interface eth0");
        run();
        engines.put(auto("web"));
        assertThat(calls).containsExactly("xdp put web", "userspace remove web", "xdp put web");
        assertThat(events).last().isEqualTo("notListening web 192.0.2.1:80/tcp: there is no interface eth0");
    }

    @Test
    void whatXdpRefusesTheOtherHasAndKeeps() {
        engines.put(auto("web"));
        fromXdp.getFirst().notListening("web", ENDPOINT, "not permitted");
        fromXdp.getFirst().notListening("web", ENDPOINT, "not permitted");
        assertThat(calls).as("not while the engine is about it").containsExactly("xdp put web");
        run();
        assertThat(calls).containsExactly("xdp put web", "userspace put web", "xdp remove web");
        assertThat(events)
                .singleElement()
                .asString()
                .startsWith("note web: web is served by the engine userspace, not xdp: not permitted. It stays there;");
        assertThat(engines.engineOf("web")).hasValue(EngineKind.USERSPACE);
        assertThat(engines.whyNotXdp("web")).hasValue("not permitted");
        calls.clear();
        engines.put(auto("web"));
        assertThat(calls).containsExactly("userspace put web");
        assertThat(userspace.last)
                .hasValueSatisfying(put -> assertThat(put.method()).isEqualTo(ForwardingMethod.PROXY));
        calls.clear();
        engines.remove("web");
        engines.put(auto("web"));
        assertThat(calls)
                .as("put in again, it is tried again")
                .containsExactly("userspace remove web", "xdp remove web", "xdp put web");
    }

    @Test
    void whatIsRemovedBeforeItFallsIsServedByNobody() {
        engines.put(auto("web"));
        fromXdp.getFirst().notListening("web", ENDPOINT, "not permitted");
        engines.remove("web");
        calls.clear();
        run();
        assertThat(calls).isEmpty();
        assertThat(engines.engineOf("web")).isEmpty();
    }

    @Test
    void whatXdpHadBeforeTheChoiceWasLeftToTheNodeItKeeps() {
        engines.put(forwarding("web", ForwardingMethod.FULLNAT));
        fromXdp.getFirst().listening("web", ENDPOINT);
        calls.clear();
        engines.put(auto("web"));
        assertThat(calls).containsExactly("xdp put web");
        events.clear();
        fromXdp.getFirst().notListening("web", ENDPOINT, "there is no interface eth0");
        run();
        assertThat(engines.engineOf("web")).hasValue(EngineKind.XDP);
        assertThat(events).containsExactly("notListening web 192.0.2.1:80/tcp: there is no interface eth0");
    }

    @Test
    void whatXdpRefusedBeforeTheChoiceWasLeftToTheNodeIsTriedAsNew() {
        engines.put(forwarding("web", ForwardingMethod.FULLNAT));
        fromXdp.getFirst().listening("web", ENDPOINT);
        fromXdp.getFirst().notListening("web", ENDPOINT, "eth0 has another XDP program");
        calls.clear();
        engines.put(auto("web"));
        assertThat(calls).containsExactly("xdp remove web", "xdp put web");
        fromXdp.getFirst().notListening("web", ENDPOINT, "eth0 has another XDP program");
        run();
        assertThat(calls).last().isEqualTo("xdp remove web");
        assertThat(engines.engineOf("web")).hasValue(EngineKind.USERSPACE);
        assertThat(engines.whyNotXdp("web")).hasValue("eth0 has another XDP program");
    }
}
