package io.ballast.node;

import io.ballast.core.config.Addresses;
import io.ballast.core.config.CheckSpec;
import io.ballast.core.config.HostPort;
import io.ballast.core.config.Problem;
import io.ballast.core.config.ServerSpec;
import io.ballast.core.config.ServiceSpec;
import io.ballast.director.VirtualService;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.time.Duration;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.CompletableFuture;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.Executor;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.TimeoutException;
import java.util.function.Supplier;

/**
 * The addresses behind the names in a description, as the resolver had them when it was applied. Literal addresses need
 * no resolver and are not kept.
 *
 * @param names the address of every host that is no literal address
 * @param missing why those that have none at the moment have none
 */
record Resolution(Map<String, InetAddress> names, Map<String, String> missing) implements VirtualService.Addresses {

    /** Asks for the address of a name; blocks. */
    @FunctionalInterface
    interface Resolver {
        /** The address to use. */
        InetAddress resolve(String name) throws UnknownHostException;

        /** The system's: /etc/hosts, DNS, as nsswitch.conf says. */
        Resolver SYSTEM = InetAddress::getByName;
    }

    /** Some names have no address. */
    static final class UnresolvedException extends Exception {
        private static final long serialVersionUID = 1L;
        private final transient List<Problem> problems;

        UnresolvedException(List<Problem> problems) {
            super(problems.stream()
                    .map(Problem::toString)
                    .reduce((a, b) -> a + "\n" + b)
                    .orElse(""));
            this.problems = List.copyOf(problems);
        }

        List<Problem> problems() {
            return problems;
        }
    }

    /** How long all names together may take. */
    static final Duration PATIENCE = Duration.ofSeconds(10);

    /** Where no name is. */
    static final Resolution NONE = new Resolution(Map.of(), Map.of());

    /**
     * Resolves what the services of this node need, all names at a time.
     *
     * @param file the description's file, for problems
     */
    static Resolution of(List<ServiceSpec> services, String file, Resolver resolver)
            throws UnresolvedException, InterruptedException {
        return of(services, file, resolver, Optional.of(NONE), new ArrayList<>());
    }

    /**
     * Resolves what the services of this node need, all names at a time. That a resolver fails for a while must not take
     * down what runs, nor keep a machine from starting: a name that had an address keeps it, and one that had none, or any
     * at a start, is missing until it has.
     *
     * @param before what is in use; nothing at a start
     * @param warnings is told what is missing or kept
     * @throws UnresolvedException when a name that is new has no address
     */
    static Resolution of(
            List<ServiceSpec> services,
            String file,
            Resolver resolver,
            Optional<Resolution> before,
            List<Problem> warnings)
            throws UnresolvedException, InterruptedException {
        Map<String, String> wanted = new LinkedHashMap<>();
        for (ServiceSpec service : services) {
            collect(wanted, service, service.checks(), -1);
            service.sorry().ifPresent(s -> want(wanted, s, () -> path(service, -1) + ".sorry"));
            int index = 0;
            for (ServerSpec server : service.servers()) {
                int at = index++;
                want(wanted, server.address(), () -> path(service, at) + ".address");
                collect(wanted, service, server.checks(), at);
            }
        }
        if (wanted.isEmpty()) {
            return NONE;
        }
        Map<String, InetAddress> names = new HashMap<>();
        Map<String, String> missing = new HashMap<>();
        List<Problem> problems = new ArrayList<>();
        resolve(wanted.keySet(), resolver).forEach((name, answer) -> {
            if (answer instanceof InetAddress address) {
                names.put(name, address);
                return;
            }
            String trouble = "the name " + name + " has no address (" + answer + ")";
            String path = wanted.getOrDefault(name, "");
            InetAddress known = before.map(b -> b.names().get(name)).orElse(null);
            if (known != null) {
                names.put(name, known);
                warnings.add(problem(
                        Problem.Severity.WARNING,
                        file,
                        path,
                        trouble + " at the moment: it keeps " + known.getHostAddress()));
            } else if (before.isEmpty() || before.get().missing().containsKey(name)) {
                missing.put(name, answer.toString());
                warnings.add(problem(
                        Problem.Severity.WARNING,
                        file,
                        path,
                        trouble + " at the moment: what needs it is down until it has one"));
            } else {
                problems.add(problem(
                        Problem.Severity.ERROR,
                        file,
                        path,
                        trouble + ": correct it, add it to /etc/hosts or DNS, or write the address"));
            }
        });
        if (!problems.isEmpty()) {
            throw new UnresolvedException(problems);
        }
        return new Resolution(Map.copyOf(names), Map.copyOf(missing));
    }

    private static Problem problem(Problem.Severity severity, String file, String path, String message) {
        return new Problem(severity, file, 0, 0, path, message, "");
    }

    /** Asks again for what is missing. */
    Resolution again(Resolver resolver) throws InterruptedException {
        Map<String, InetAddress> found = new HashMap<>(names);
        Map<String, String> still = new HashMap<>();
        resolve(missing.keySet(), resolver).forEach((name, answer) -> {
            if (answer instanceof InetAddress address) {
                found.put(name, address);
            } else {
                still.put(name, answer.toString());
            }
        });
        return new Resolution(Map.copyOf(found), Map.copyOf(still));
    }

    private static String path(ServiceSpec service, int server) {
        return "services." + service.name() + (server < 0 ? "" : ".servers[" + server + "]");
    }

    private static void collect(Map<String, String> wanted, ServiceSpec service, List<CheckSpec> checks, int server) {
        for (CheckSpec check : checks) {
            check.host()
                    .ifPresent(h -> want(wanted, h, () -> path(service, server) + ".checks." + check.name() + ".host"));
        }
    }

    private static void want(Map<String, String> wanted, HostPort hostPort, Supplier<String> path) {
        if (!isLiteral(hostPort.host()) && !wanted.containsKey(hostPort.host())) {
            wanted.put(hostPort.host(), path.get());
        }
    }

    /** Each name's address, or why it has none, as a String. */
    private static Map<String, Object> resolve(Iterable<String> names, Resolver resolver) throws InterruptedException {
        Executor virtual = task -> Thread.ofVirtual().name("resolve").start(task);
        Map<String, CompletableFuture<Object>> asked = new LinkedHashMap<>();
        for (String name : names) {
            asked.put(
                    name,
                    CompletableFuture.supplyAsync(
                            () -> {
                                try {
                                    return resolver.resolve(name);
                                } catch (UnknownHostException e) {
                                    return "unknown host";
                                }
                            },
                            virtual));
        }
        long deadline = System.nanoTime() + PATIENCE.toNanos();
        Map<String, Object> answers = new LinkedHashMap<>();
        for (Map.Entry<String, CompletableFuture<Object>> entry : asked.entrySet()) {
            Object answer;
            try {
                answer = entry.getValue().get(Math.max(0, deadline - System.nanoTime()), TimeUnit.NANOSECONDS);
            } catch (TimeoutException e) {
                answer = "the resolver gave no answer in " + PATIENCE.toSeconds() + " s";
            } catch (ExecutionException e) {
                answer = String.valueOf(e.getCause());
            }
            answers.put(entry.getKey(), answer);
        }
        return answers;
    }

    /** Resolves one more name, for a server that is added at run time. */
    static InetSocketAddress one(HostPort hostPort, Resolver resolver) throws UnknownHostException {
        return new InetSocketAddress(
                isLiteral(hostPort.host()) ? literal(hostPort.host()) : resolver.resolve(hostPort.host()),
                hostPort.port());
    }

    @Override
    public InetSocketAddress of(HostPort hostPort) {
        return names.containsKey(hostPort.host()) || isLiteral(hostPort.host())
                ? new InetSocketAddress(address(hostPort.host()), hostPort.port())
                : InetSocketAddress.createUnresolved(hostPort.host(), hostPort.port());
    }

    @Override
    public Optional<String> trouble(ServerSpec server) {
        if (missing.isEmpty()) {
            return Optional.empty();
        }
        List<String> hosts = new ArrayList<>();
        hosts.add(server.address().host());
        server.checks().forEach(check -> check.host().ifPresent(h -> hosts.add(h.host())));
        return hosts.stream()
                .filter(missing::containsKey)
                .findFirst()
                .map(host -> "the name " + host + " has no address (" + missing.get(host) + "); it is asked for again");
    }

    /** The address of a host that has one. */
    InetAddress address(String host) {
        InetAddress named = names.get(host);
        return named != null ? named : literal(host);
    }

    static boolean isLiteral(String host) {
        return Addresses.parse(host).isPresent();
    }

    private static InetAddress literal(String host) {
        return Addresses.parse(host)
                .orElseThrow(() -> new IllegalStateException("the name " + host + " was not resolved"));
    }
}
