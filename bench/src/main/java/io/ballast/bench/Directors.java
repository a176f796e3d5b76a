package io.ballast.bench;

import io.ballast.bench.Wiring.Place;
import io.ballast.cli.Failure;
import io.ballast.lab.farm.Daemon;
import io.ballast.linux.Processes;
import io.ballast.linux.Signal;
import java.io.IOException;
import java.net.InetAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.EnumMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.TreeMap;
import java.util.concurrent.TimeUnit;
import java.util.stream.Collectors;

/** Two programs that share addresses by VRRP, director A with the higher priority. */
sealed interface Directors {
    /**
     * What they are to do.
     *
     * @param routers each a list of addresses
     */
    record Plan(List<List<InetAddress>> routers, Priorities priorities, Duration interval) {}

    /** Of A and of B. */
    record Priorities(int a, int b) {
        int of(Place director) {
            return director == Place.A ? a : b;
        }
    }

    /** Starts one; returns before it has a role. */
    void start(Place director) throws IOException, Failure, InterruptedException;

    /** Kills all of one that advertises, so that it says nothing any more. */
    void kill(Place director) throws IOException;

    /** Asks one to end. */
    void stop(Place director) throws IOException;

    /** Waits until one has ended. */
    void awaitEnd(Place director) throws IOException, InterruptedException;

    /** Whether the backup knows of its master. */
    boolean stands(Place backup) throws IOException;

    /** How one stands, for people. */
    String stand(Place director) throws IOException;

    /** Ballast's daemons. */
    final class Ballast implements Directors {
        private final Map<Place, Daemon> daemons = new EnumMap<>(Place.class);

        Ballast(Programs programs, Wiring wiring, Plan plan) throws IOException {
            Path file = programs.file("ballast.yaml", description(plan));
            for (Place director : Wiring.DIRECTORS) {
                Path home = Files.createDirectories(programs.directory().resolve(director.word()));
                daemons.put(
                        director,
                        Programs.daemon(
                                director.word(),
                                home,
                                file,
                                (log, command) -> wiring.in(
                                        director, () -> programs.start(log, Programs.everyProcessor(), command))));
            }
        }

        static String description(Plan plan) {
            StringBuilder text = new StringBuilder("name: bench\nnodes:\n");
            for (Place director : Wiring.DIRECTORS) {
                text.append("  " + director.word() + ": { interfaces: { eth0: { addresses: ["
                        + director.address().getHostAddress() + "/24] } } }\n");
            }
            text.append("virtual-routers:\n");
            for (int i = 0; i < plan.routers().size(); i++) {
                String addresses = plan.routers().get(i).stream()
                        .map(address -> address.getHostAddress() + "/32")
                        .collect(Collectors.joining(", "));
                text.append("  r" + (i + 1) + ":\n    router-id: " + (i + 1) + "\n    addresses: [" + addresses
                        + "]\n    interval: " + plan.interval().toMillis() + "ms\n    nodes:\n");
                for (Place director : Wiring.DIRECTORS) {
                    text.append("      " + director.word() + ": { interface: eth0, priority: "
                            + plan.priorities().of(director) + " }\n");
                }
            }
            // There are no directors without a service.
            text.append("services:\n  web:\n    listen: "
                    + plan.routers().getFirst().getFirst().getHostAddress() + ":80\n    servers: [\""
                    + Place.CLIENT.address().getHostAddress() + ":80\"]\n");
            return text.toString();
        }

        Daemon daemon(Place director) {
            return Objects.requireNonNull(daemons.get(director));
        }

        @Override
        public void start(Place director) throws IOException, InterruptedException {
            daemon(director).start(List.of());
            daemon(director).awaitReady(); // also its worker: who has just begun ends slowly
        }

        @Override
        public void kill(Place director) throws IOException {
            daemon(director).kill();
        }

        @Override
        public void stop(Place director) throws IOException {
            Processes.kill(daemon(director).pid(), Signal.TERM);
        }

        @Override
        public void awaitEnd(Place director) throws IOException, InterruptedException {
            long until = System.nanoTime() + TimeUnit.SECONDS.toNanos(45);
            while (daemon(director).pid() != 0) {
                if (System.nanoTime() > until) {
                    throw new IOException("the daemon of " + director.word() + " does not end: "
                            + daemon(director).lastWords());
                }
                Thread.sleep(5);
            }
        }

        @Override
        public boolean stands(Place backup) {
            var roles = daemon(backup).roles();
            return !roles.isEmpty()
                    && roles.stream().allMatch(role -> role.role().equals("backup"));
        }

        @Override
        public String stand(Place director) {
            Map<String, Long> roles = daemon(director).roles().stream()
                    .collect(Collectors.groupingBy(role -> role.role(), TreeMap::new, Collectors.counting()));
            return roles + ", " + daemon(director).lastWords();
        }
    }

    /** keepalived, as Debian has it. */
    final class Keepalived implements Directors {
        private final Programs programs;
        private final Wiring wiring;
        private final Plan plan;
        private final Path program;
        private final Map<Place, Process> processes = new EnumMap<>(Place.class);

        Keepalived(Programs programs, Wiring wiring, Plan plan) throws Failure {
            this.programs = programs;
            this.wiring = wiring;
            this.plan = plan;
            this.program = Programs.need("keepalived", "keepalived");
        }

        static String configuration(Plan plan, Place director) {
            StringBuilder text = new StringBuilder("global_defs {\n vrrp_version 3\n vrrp_garp_master_delay 5\n}\n");
            for (int i = 0; i < plan.routers().size(); i++) {
                text.append("vrrp_instance r" + (i + 1) + " {\n state BACKUP\n interface eth0\n virtual_router_id "
                        + (i + 1) + "\n priority " + plan.priorities().of(director) + "\n advert_int "
                        + plan.interval().toMillis() / 1000.0 + "\n virtual_ipaddress {\n");
                plan.routers().get(i).forEach(address -> text.append("  " + address.getHostAddress() + "/32\n"));
                text.append(" }\n}\n");
            }
            return text.toString();
        }

        @Override
        public void start(Place director) throws IOException {
            String name = "keepalived-" + director.word();
            Path file = programs.file(name + ".conf", configuration(plan, director));
            List<String> command = new ArrayList<>(List.of(program.toString(), "-n", "-l", "-D", "-P", "-f"));
            command.add(file.toString());
            for (String option : List.of("-p", "-r")) {
                Path pid = programs.directory().resolve(name + option + ".pid");
                Files.deleteIfExists(pid);
                command.addAll(List.of(option, pid.toString()));
            }
            processes.put(
                    director, wiring.in(director, () -> programs.start(name, Programs.everyProcessor(), command)));
        }

        private Process process(Place director) {
            return Objects.requireNonNull(processes.get(director));
        }

        /** The children first: an orphan takes its leave. */
        @Override
        public void kill(Place director) {
            process(director).descendants().forEach(ProcessHandle::destroyForcibly);
            process(director).destroyForcibly();
        }

        @Override
        public void stop(Place director) {
            process(director).destroy();
        }

        @Override
        public void awaitEnd(Place director) throws IOException, InterruptedException {
            if (!process(director).waitFor(20, TimeUnit.SECONDS)) {
                throw new IOException("keepalived does not end");
            }
            // Where it was killed it has left them.
            for (List<InetAddress> addresses : plan.routers()) {
                for (InetAddress address : addresses.subList(0, 1)) {
                    wiring.clean(director, address);
                }
            }
        }

        @Override
        public boolean stands(Place backup) throws IOException {
            return process(backup).isAlive()
                    && !wiring.has(backup, plan.routers().getFirst().getFirst());
        }

        @Override
        public String stand(Place director) throws IOException {
            return programs.log("keepalived-" + director.word());
        }
    }
}
