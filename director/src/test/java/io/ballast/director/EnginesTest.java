package io.ballast.director;

import static org.assertj.core.api.Assertions.assertThat;

import io.ballast.core.config.EngineKind;
import io.ballast.core.config.ForwardingMethod;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.CompletionStage;
import org.junit.jupiter.api.Test;

class EnginesTest {
    private final List<String> calls = new ArrayList<>();

    private final class Recorder implements ForwardingEngine {
        private final EngineKind kind;
        private boolean answers = true;

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
    private final Engines engines = new Engines(userspace, new Recorder(EngineKind.XDP));

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
}
