package io.ballast.core.config;

import io.ballast.core.Sizes;
import io.ballast.core.config.Change.Action;
import io.ballast.core.config.ServiceSpec.ConnectRetry;
import io.ballast.core.config.ServiceSpec.Limits;
import io.ballast.core.config.ServiceSpec.NotifySpec;
import io.ballast.core.config.ServiceSpec.Persistence;
import io.ballast.core.config.ServiceSpec.Quic;
import io.ballast.core.config.ServiceSpec.Timeouts;
import io.ballast.core.time.Durations;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.HashSet;
import java.util.Iterator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.Set;
import java.util.function.Function;
import java.util.stream.Collectors;

/**
 * What changes from one description to the next, in words. Services are known by their names, servers by their names
 * within a service. What is the very same object in both is passed over at once, so that the difference of two large
 * descriptions costs no more than what differs.
 */
public final class DescriptionDiff {
    private final List<Change> changes = new ArrayList<>();

    private DescriptionDiff() {}

    /** The changes in the order of the new description, what goes last. Empty exactly when the two are equal. */
    public static List<Change> between(Description from, Description to) {
        var diff = new DescriptionDiff();
        diff.field("name", "name", from.name(), to.name(), Function.identity());
        diff.named(from.nodes(), to.nodes(), "node ", DescriptionDiff::print, diff::node);
        diff.named(
                from.virtualRouters(),
                to.virtualRouters(),
                "virtual-router ",
                DescriptionDiff::print,
                diff::virtualRouter);
        diff.connectionSync(from.connectionSync(), to.connectionSync());
        diff.quorum(from.quorum(), to.quorum());
        diff.named(
                from.resources().groups(),
                to.resources().groups(),
                "resource-group ",
                group -> list(group.resources()),
                diff::resourceGroup);
        diff.either(
                "fencing", from.resources().fencing(), to.resources().fencing(), ResourcesSpec.FencingSpec::toString);
        diff.either(
                "watchdog",
                from.resources().watchdog(),
                to.resources().watchdog(),
                ResourcesSpec.WatchdogSpec::toString);
        diff.named(from.services(), to.services(), "", DescriptionDiff::print, diff::service);
        return List.copyOf(diff.changes);
    }

    private interface Both<T> {
        void compare(T from, T to);
    }

    private <T> void named(
            Map<String, T> from, Map<String, T> to, String prefix, Function<T, String> print, Both<T> both) {
        if (sameNames(from, to)) {
            Iterator<T> old = from.values().iterator();
            for (T mine : to.values()) {
                T was = old.next();
                if (!was.equals(mine)) {
                    both.compare(was, mine);
                }
            }
            return;
        }
        to.forEach((name, mine) -> {
            T old = from.get(name);
            if (old == null) {
                changes.add(new Change(Action.ADD, prefix + name, print.apply(mine)));
            } else if (!old.equals(mine)) {
                both.compare(old, mine);
            }
        });
        from.forEach((name, old) -> {
            if (!to.containsKey(name)) {
                changes.add(new Change(Action.REMOVE, prefix + name, print.apply(old)));
            }
        });
    }

    private static boolean sameNames(Map<String, ?> from, Map<String, ?> to) {
        Iterator<String> names = from.keySet().iterator();
        return from.size() == to.size() && to.keySet().stream().allMatch(name -> name.equals(names.next()));
    }

    private <T> void field(String subject, String name, T from, T to, Function<? super T, String> print) {
        if (!Objects.equals(from, to)) {
            changes.add(new Change(Action.CHANGE, subject, name + " " + print.apply(from) + " -> " + print.apply(to)));
        }
    }

    private void node(NodeSpec from, NodeSpec to) {
        field("node " + to.name(), "interfaces", from, to, DescriptionDiff::print);
    }

    private void virtualRouter(VirtualRouterSpec from, VirtualRouterSpec to) {
        String subject = "virtual-router " + to.name();
        field(subject, "router-id", from.routerId(), to.routerId(), String::valueOf);
        field(subject, "addresses", from.addresses(), to.addresses(), DescriptionDiff::list);
        if (!from.nodes().equals(to.nodes())) {
            field(subject, "nodes", print(from.nodes()), print(to.nodes()), Function.identity());
        }
        field(subject, "version", from.version(), to.version(), String::valueOf);
        field(subject, "interval", from.interval(), to.interval(), Durations::print);
        field(subject, "preempt", from.preempt(), to.preempt(), String::valueOf);
        field(subject, "preempt-delay", from.preemptDelay(), to.preemptDelay(), Durations::print);
        field(subject, "unicast", from.unicast(), to.unicast(), String::valueOf);
        field(subject, "virtual-mac", from.virtualMac(), to.virtualMac(), String::valueOf);
        field(subject, "checksum", from.checksum(), to.checksum(), VirtualRouterSpec.Checksum::yamlName);
        if (!from.password().equals(to.password())) {
            String what = from.password().isEmpty() ? "added" : to.password().isEmpty() ? "removed" : "changed";
            changes.add(new Change(Action.CHANGE, subject, "password " + what));
        }
        field(
                subject,
                "hmac",
                from.hmac(),
                to.hmac(),
                hmac -> hmac.map(DescriptionDiff::print).orElse("none"));
        field(
                subject,
                "authentication-header",
                from.authenticationHeader(),
                to.authenticationHeader(),
                String::valueOf);
        field(subject, "look-ahead", from.lookAhead(), to.lookAhead(), Durations::print);
        field(subject, "gratuitous-arp.repeat", from.announcements(), to.announcements(), String::valueOf);
        field(subject, "gratuitous-arp.again-after", from.announceAgain(), to.announceAgain(), Durations::print);
        hooks(subject, from.hooks(), to.hooks());
        field(subject, "track", from.track(), to.track(), DescriptionDiff::list);
        field(subject, "group", from.group(), to.group(), DescriptionDiff::orNone);
        field(subject, "accept", from.accept(), to.accept(), String::valueOf);
        field(subject, "routes", from.routes(), to.routes(), DescriptionDiff::list);
    }

    private static String print(VirtualRouterSpec.HmacSpec hmac) {
        return "keys " + hmac.keys().stream().map(VirtualRouterSpec.KeySpec::id).toList() + " of "
                + hmac.keys().stream().map(VirtualRouterSpec.KeySpec::file).toList() + " "
                + hmac.mode().yamlName() + " " + hmac.replay().yamlName()
                + hmac.window().map(window -> " " + Durations.print(window)).orElse("");
    }

    /** Without the key. */
    private void connectionSync(Optional<ConnectionSyncSpec> from, Optional<ConnectionSyncSpec> to) {
        if (from.isEmpty() != to.isEmpty()) {
            changes.add(new Change(to.isEmpty() ? Action.REMOVE : Action.ADD, "connection-sync", ""));
        } else if (from.isPresent() && to.isPresent()) {
            field("connection-sync", "port", from.get().port(), to.get().port(), String::valueOf);
            if (!from.get().key().equals(to.get().key())
                    || !from.get().keyFile().equals(to.get().keyFile())) {
                changes.add(new Change(Action.CHANGE, "connection-sync", "key changed"));
            }
        }
    }

    private void resourceGroup(ResourcesSpec.GroupSpec from, ResourcesSpec.GroupSpec to) {
        String subject = "resource-group " + to.name();
        field(subject, "router", from.router(), to.router(), Function.identity());
        field(subject, "resources", from.resources(), to.resources(), DescriptionDiff::list);
        field(subject, "restarts", from.restarts(), to.restarts(), String::valueOf);
        field(subject, "fence", from.fenced(), to.fenced(), fenced -> fenced ? "required" : "not");
        field(subject, "on-stop-failure", from.reboots(), to.reboots(), reboots -> reboots ? "reboot" : "keep");
    }

    private <T> void either(String subject, Optional<T> from, Optional<T> to, Function<T, String> print) {
        if (from.isEmpty() && to.isPresent()) {
            changes.add(new Change(Action.ADD, subject, print.apply(to.get())));
        } else if (from.isPresent() && to.isEmpty()) {
            changes.add(new Change(Action.REMOVE, subject, print.apply(from.get())));
        } else if (!from.equals(to)) {
            changes.add(new Change(Action.CHANGE, subject, to.map(print).orElse("")));
        }
    }

    /** Without the key. */
    private void quorum(Optional<QuorumSpec> from, Optional<QuorumSpec> to) {
        if (from.isEmpty() != to.isEmpty()) {
            changes.add(new Change(to.isEmpty() ? Action.REMOVE : Action.ADD, "quorum", ""));
        } else if (from.isPresent() && to.isPresent()) {
            field("quorum", "voters", from.get().voters(), to.get().voters(), DescriptionDiff::printVoters);
            field("quorum", "port", from.get().port(), to.get().port(), String::valueOf);
            field("quorum", "lease", from.get().lease(), to.get().lease(), Durations::print);
            field(
                    "quorum",
                    "virtual-routers",
                    from.get().virtualRouters(),
                    to.get().virtualRouters(),
                    names -> names.map(some -> String.join(", ", some)).orElse("all"));
            field("quorum", "key-file", from.get().keyFile(), to.get().keyFile(), file -> file.orElse("none"));
            if (!from.get().key().equals(to.get().key())) {
                changes.add(new Change(Action.CHANGE, "quorum", "key changed"));
            }
        }
    }

    private static String printVoters(Map<String, InetAddress> voters) {
        return voters.entrySet().stream()
                .map(voter -> voter.getKey() + " " + Addresses.print(voter.getValue()))
                .collect(Collectors.joining(", "));
    }

    private void service(ServiceSpec from, ServiceSpec to) {
        String name = to.name();
        field(name, "listen", from.listen(), to.listen(), DescriptionDiff::list);
        field(name, "directors", from.directors(), to.directors(), DescriptionDiff::list);
        field(name, "scheduler", from.scheduler(), to.scheduler(), kind -> printed(kind, from, to));
        field(name, "engine", from.engine(), to.engine(), EngineKind::yamlName);
        field(name, "forwarding", from.forwarding(), to.forwarding(), method -> printed(method, from, to));
        field(
                name,
                "persistence",
                from.persistence(),
                to.persistence(),
                p -> p.map(DescriptionDiff::print).orElse("none"));
        timeouts(name, from.timeouts(), to.timeouts());
        limits(name, from.limits(), to.limits());
        field(name, "connect-retry", from.connectRetry(), to.connectRetry(), DescriptionDiff::print);
        field(name, "proxy-protocol", from.proxyProtocol(), to.proxyProtocol(), ServiceSpec.ProxyProtocol::yamlName);
        field(name, "syn-cookies", from.synCookies(), to.synCookies(), ServiceSpec.SynCookies::yamlName);
        field(name, "on-down", from.onDown(), to.onDown(), ServiceSpec.OnDown::yamlName);
        field(
                name,
                "source",
                from.source().map(Addresses::print),
                to.source().map(Addresses::print),
                DescriptionDiff::orNone);
        checks(name, from.checks(), to.checks());
        servers(name, from, to);
        field(
                name,
                "sorry",
                from.sorry().map(HostPort::toString),
                to.sorry().map(HostPort::toString),
                DescriptionDiff::orNone);
        hooks(name, from.hooks(), to.hooks());
        field(
                name,
                "quic",
                from.quic(),
                to.quic(),
                q -> q.map(DescriptionDiff::print).orElse("none"));
    }

    /** The new one with what it does to connections, where it does. */
    private static String printed(SchedulerKind kind, ServiceSpec from, ServiceSpec to) {
        boolean loses = kind == to.scheduler()
                && from.engine() != EngineKind.USERSPACE
                && to.engine() != EngineKind.USERSPACE
                && from.persistence().isEmpty()
                && !translates(from.forwarding())
                && isByHash(from.scheduler());
        return kind.yamlName()
                + (loses ? " (the engine xdp may lead connections that were opened before to another server)" : "");
    }

    private static String printed(ForwardingMethod method, ServiceSpec from, ServiceSpec to) {
        boolean loses = method == to.forwarding()
                && from.engine() != EngineKind.USERSPACE
                && (translates(method) || translates(from.forwarding()));
        return method.yamlName() + (loses ? " (ends its connections)" : "");
    }

    private static boolean isByHash(SchedulerKind kind) {
        return kind == SchedulerKind.MH || kind == SchedulerKind.SH || kind == SchedulerKind.DH;
    }

    private static boolean translates(ForwardingMethod method) {
        return method == ForwardingMethod.NAT || method == ForwardingMethod.FULLNAT;
    }

    private void timeouts(String service, Timeouts from, Timeouts to) {
        field(service, "timeouts.connect", from.connect(), to.connect(), Durations::print);
        field(service, "timeouts.idle", from.idle(), to.idle(), Durations::print);
        field(service, "timeouts.half-closed", from.halfClosed(), to.halfClosed(), Durations::print);
        field(service, "timeouts.udp", from.udp(), to.udp(), Durations::print);
        field(service, "timeouts.queue", from.queue(), to.queue(), Durations::print);
        field(service, "timeouts.drain", from.drain(), to.drain(), Durations::print);
    }

    private void limits(String service, Limits from, Limits to) {
        field(service, "limits.connections", from.connections(), to.connections(), String::valueOf);
        field(service, "limits.queue", from.queue(), to.queue(), String::valueOf);
        field(service, "limits.backlog", from.backlog(), to.backlog(), String::valueOf);
        field(service, "limits.connection-rate", from.connectionRate(), to.connectionRate(), String::valueOf);
        field(
                service,
                "limits.source-connection-rate",
                from.sourceConnectionRate(),
                to.sourceConnectionRate(),
                String::valueOf);
    }

    private void hooks(String router, VirtualRouterSpec.NotifySpec from, VirtualRouterSpec.NotifySpec to) {
        field(router, "hooks.master", from.master(), to.master(), DescriptionDiff::orNone);
        field(router, "hooks.backup", from.backup(), to.backup(), DescriptionDiff::orNone);
        field(router, "hooks.fault", from.fault(), to.fault(), DescriptionDiff::orNone);
        field(router, "hooks.stop", from.stop(), to.stop(), DescriptionDiff::orNone);
        field(router, "hooks.fifo", from.fifo(), to.fifo(), DescriptionDiff::orNone);
    }

    private void hooks(String service, NotifySpec from, NotifySpec to) {
        field(service, "hooks.server-up", from.serverUp(), to.serverUp(), DescriptionDiff::orNone);
        field(service, "hooks.server-down", from.serverDown(), to.serverDown(), DescriptionDiff::orNone);
        field(service, "hooks.service-up", from.serviceUp(), to.serviceUp(), DescriptionDiff::orNone);
        field(service, "hooks.service-down", from.serviceDown(), to.serviceDown(), DescriptionDiff::orNone);
    }

    private void servers(String service, ServiceSpec from, ServiceSpec to) {
        int before = changes.size();
        // A server's checks are mostly those of its service, whose change is told once, there.
        boolean sameChecks = from.checks().equals(to.checks());
        named(byName(from), byName(to), service + "/", DescriptionDiff::print, (a, b) -> {
            String subject = service + "/" + b.name();
            field(subject, "address", a.address(), b.address(), HostPort::toString);
            field(subject, "weight", a.weight(), b.weight(), String::valueOf);
            field(subject, "limit", a.limit(), b.limit(), String::valueOf);
            field(subject, "state", a.state(), b.state(), ServerSpec.AdminState::yamlName);
            field(subject, "quic-id", a.quicId(), b.quicId(), DescriptionDiff::orNone);
            boolean inherited = a.checks().equals(from.checks()) && b.checks().equals(to.checks());
            if (sameChecks || !inherited) {
                checks(subject, a.checks(), b.checks());
            }
        });
        if (changes.size() == before && !names(from).equals(names(to))) {
            changes.add(new Change(Action.CHANGE, service, "servers " + list(names(from)) + " -> " + list(names(to))));
        }
    }

    private static List<String> names(ServiceSpec service) {
        return service.servers().stream().map(ServerSpec::name).toList();
    }

    private static Map<String, ServerSpec> byName(ServiceSpec service) {
        Map<String, ServerSpec> servers = new LinkedHashMap<>();
        service.servers().forEach(s -> servers.put(s.name(), s));
        return servers;
    }

    private void checks(String subject, List<CheckSpec> from, List<CheckSpec> to) {
        if (from.equals(to)) {
            return;
        }
        Map<String, CheckSpec> old = new LinkedHashMap<>();
        from.forEach(c -> old.put(c.name(), c));
        Set<String> kept = new HashSet<>();
        int before = changes.size();
        for (CheckSpec check : to) {
            CheckSpec was = old.get(check.name());
            if (was == null) {
                changes.add(new Change(Action.CHANGE, subject, "check " + check.name() + " added"));
            } else {
                check(subject, was, check);
            }
            kept.add(check.name());
        }
        for (CheckSpec check : from) {
            if (!kept.contains(check.name())) {
                changes.add(new Change(Action.CHANGE, subject, "check " + check.name() + " removed"));
            }
        }
        if (changes.size() == before) {
            changes.add(new Change(Action.CHANGE, subject, "the order of the checks"));
        }
    }

    private void check(String subject, CheckSpec from, CheckSpec to) {
        String check = "check " + to.name() + ": ";
        field(subject, check + "interval", from.interval(), to.interval(), Durations::print);
        field(subject, check + "timeout", from.timeout(), to.timeout(), Durations::print);
        field(subject, check + "rise", from.rise(), to.rise(), String::valueOf);
        field(subject, check + "fall", from.fall(), to.fall(), String::valueOf);
        field(
                subject,
                check + "initial",
                from.initial(),
                to.initial(),
                i -> i.name().toLowerCase(java.util.Locale.ROOT));
        field(subject, check + "jitter", from.jitter(), to.jitter(), j -> Math.round(j * 100) + "%");
        field(subject, check + "backoff", backoff(from), backoff(to), DescriptionDiff::orNone);
        field(
                subject,
                check + "source",
                from.source().map(Addresses::print),
                to.source().map(Addresses::print),
                DescriptionDiff::orNone);
        field(subject, check + "bind-interface", from.bindInterface(), to.bindInterface(), DescriptionDiff::orNone);
        field(
                subject,
                check + "host",
                from.host().map(HostPort::toString),
                to.host().map(HostPort::toString),
                DescriptionDiff::orNone);
        field(subject, check + "port", from.port(), to.port(), String::valueOf);
        if (!from.probe().equals(to.probe())) {
            String types = from.probe().yamlName().equals(to.probe().yamlName())
                    ? "what it asks or expects"
                    : "type " + from.probe().yamlName() + " -> " + to.probe().yamlName();
            changes.add(new Change(Action.CHANGE, subject, check + types));
        }
    }

    private static String orNone(Optional<String> value) {
        return value.orElse("none");
    }

    /** An interval that does not grow is one without backoff. */
    private static Optional<String> backoff(CheckSpec check) {
        return Optional.of(check.backoff())
                .filter(b -> !b.equals(check.interval()))
                .map(Durations::print);
    }

    private static String list(List<?> items) {
        return items.toString();
    }

    private static String print(NodeSpec node) {
        return node.interfaces().stream()
                .map(i -> i.name() + " " + list(i.addresses()))
                .reduce((a, b) -> a + ", " + b)
                .orElse("");
    }

    private static String print(VirtualRouterSpec router) {
        return list(router.addresses()) + " router-id " + router.routerId() + ", " + print(router.nodes());
    }

    private static String print(Map<String, VirtualRouterSpec.Member> members) {
        return members.entrySet().stream()
                .map(e -> e.getKey() + " " + e.getValue().interfaceName() + " priority "
                        + e.getValue().priority())
                .collect(Collectors.joining(", ", "[", "]"));
    }

    private static String print(ServiceSpec service) {
        int servers = service.servers().size();
        return list(service.listen()) + " " + service.scheduler().yamlName() + ", " + servers
                + (servers == 1 ? " server" : " servers");
    }

    private static String print(ServerSpec server) {
        return server.address() + " weight " + server.weight()
                + (server.state() == ServerSpec.AdminState.ENABLED
                        ? ""
                        : " " + server.state().yamlName());
    }

    private static String print(Persistence persistence) {
        return Durations.print(persistence.timeout()) + " /" + persistence.prefix4() + " /" + persistence.prefix6();
    }

    /** The key itself is a secret. */
    private static String print(Quic quic) {
        return "config " + quic.config() + ", server-id-length " + quic.serverIdLength()
                + quic.encryption().map(e -> ", " + e).orElse("");
    }

    private static String print(ConnectRetry retry) {
        return retry.attempts()
                + (retry.replayBytes() == 0 ? "" : " with replay of " + Sizes.print(retry.replayBytes()));
    }
}
