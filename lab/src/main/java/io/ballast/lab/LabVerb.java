package io.ballast.lab;

import com.google.gson.JsonArray;
import com.google.gson.JsonObject;
import io.ballast.cli.Exit;
import io.ballast.cli.Failure;
import io.ballast.cli.Invocation;
import io.ballast.cli.Option;
import io.ballast.cli.Parameter;
import io.ballast.cli.Table;
import io.ballast.cli.Terminal;
import io.ballast.cli.Terminal.Style;
import io.ballast.cli.ValueKind;
import io.ballast.cli.Verb;
import io.ballast.cli.VerbSpec;
import io.ballast.core.config.Addresses;
import io.ballast.core.config.HostPort;
import io.ballast.core.config.ServiceSpec;
import io.ballast.lab.farm.Lab;
import io.ballast.lab.farm.LabStore;
import io.ballast.lab.farm.Privileges;
import io.ballast.lab.farm.RouterRole;
import io.ballast.lab.topology.Site;
import io.ballast.lab.topology.Topology;
import io.ballast.lab.topology.Topology.Node;
import io.ballast.node.Directories;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Optional;

/** {@code ballast lab}: a service of many machines, brought up on this one from its own description. */
public final class LabVerb implements Verb {
    private static final Option NAME = Option.value(
                    "--name", ValueKind.TEXT, "NAME", "which lab, where there is more than one")
            .letter('n');
    /** Without namespaces even as root. */
    public static final Option LOOPBACK =
            Option.flag("--loopback", "use loopback addresses instead of network namespaces, as is done without root");

    @Override
    public VerbSpec spec() {
        return VerbSpec.of("lab", "Bring a whole service up on this machine: nodes, network, servers and daemon")
                .describe("A lab takes the same ballast.yaml as the real machines. As root every node becomes a network"
                        + " namespace with its interfaces and addresses; without root every node becomes an address"
                        + " of 127.0.0.0/8.");
    }

    @Override
    public List<Verb> verbs() {
        return List.of(new Up(), new Status(), new Exec(), new Capture(), new Down());
    }

    @Override
    public int run(Invocation call) {
        throw new UnsupportedOperationException("its verbs are run");
    }

    /** This user's labs. */
    public static LabStore store(Invocation call) {
        return new LabStore(Directories.of(call.environment(), Optional.empty(), Optional.empty())
                .run());
    }

    /** Whether the lab is to be made of namespaces; says so where it cannot be. */
    public static boolean namespaces(Invocation call) {
        if (call.flag(LOOPBACK.name())) {
            return false;
        }
        Optional<String> missing = Privileges.missingForNamespaces();
        missing.ifPresent(reason -> call.terminal()
                .err()
                .println(reason + ": the lab runs on loopback addresses instead of network namespaces"));
        return missing.isEmpty();
    }

    /** The lab that is meant: the one named, or the only one. */
    private static LabStore.Info find(LabStore store, Optional<String> named) throws IOException, Failure {
        List<String> names = store.names();
        if (named.isEmpty() && names.size() > 1) {
            throw Failure.usage("there are several labs: " + String.join(", ", names) + "; say which, for instance: -n "
                    + names.getFirst());
        }
        String name = named.orElse(names.isEmpty() ? "" : names.getFirst());
        return store.info(name)
                .orElseThrow(() ->
                        Failure.failed(named.map(n -> "there is no lab " + n).orElse("no lab is up")
                                + (names.isEmpty() ? "" : "; " + thereAre(names))
                                + "\nBring one up with: ballast lab up examples/farm.yaml"));
    }

    private static String thereAre(List<String> names) {
        return (names.size() == 1 ? "there is " : "there are ") + String.join(", ", names);
    }

    private static final class Up implements Verb {
        @Override
        public VerbSpec spec() {
            return VerbSpec.of("up", "Bring a lab up and leave it running")
                    .parameter(Parameter.required("file", ValueKind.FILE, "the description of the service"))
                    .option(Option.value(
                                    "--name", ValueKind.TEXT, "NAME", "the lab's name (default: the description's)")
                            .letter('n'))
                    .option(LOOPBACK)
                    .example("ballast lab up examples/farm.yaml", "a director, three web servers and a client");
        }

        @Override
        public int run(Invocation call) throws Exception {
            return LabStore.untilInterrupted(() -> up(call));
        }

        private static int up(Invocation call) throws Exception {
            Terminal terminal = call.terminal();
            Source source = Source.file(Path.of(call.parameter("file")), terminal);
            String name = call.value("--name")
                    .orElseGet(() -> labName(source.description().name()));
            if (!name.matches("[a-z0-9][a-z0-9-]{0,31}")) {
                throw Failure.usage("--name " + name + ": use up to 32 of a-z, 0-9 and -");
            }
            long start = System.nanoTime();
            Path file = Path.of(source.name()).toAbsolutePath();
            LabStore store = store(call);
            Lab lab = store.up(
                    new Lab.Plan(name, file, source.text(), namespaces(call), false),
                    step -> terminal.err().println("  " + step));
            long millis = (System.nanoTime() - start) / 1_000_000;
            if (call.json()) {
                terminal.json(json(lab, millis));
            } else {
                show(lab, millis, store.names().size() > 1, terminal);
            }
            return Exit.DONE;
        }

        private static String labName(String description) {
            String name = description.toLowerCase(Locale.ROOT).replaceAll("[^a-z0-9]+", "-");
            name = name.replaceAll("^-+", "");
            return name.isEmpty() ? "lab" : name.substring(0, Math.min(32, name.length()));
        }

        private static void show(Lab lab, long millis, boolean several, Terminal terminal) {
            Topology topology = lab.topology();
            terminal.out()
                    .println(terminal.style(Style.BOLD, "lab " + lab.name()) + ": up in "
                            + String.format(Locale.ROOT, "%.1f s", millis / 1000.0)
                            + (lab.namespaces() ? "" : ", on loopback addresses"));
            Table table = new Table("NODE", "DOES", "ADDRESSES");
            for (Node node : topology.nodes()) {
                table.row(node.name(), does(topology, node), Texts.addresses(node));
            }
            table.lines().forEach(l -> terminal.out().println("  " + l));
            RouterRole.lines(lab.roles()).forEach(line -> terminal.out().println("  virtual router " + line));
            for (String note : notes(lab)) {
                terminal.out().println(terminal.style(Style.YELLOW, "note: ") + note);
            }
            terminal.out().println("Look around:");
            suggestions(lab, several).forEach(s -> terminal.out().println("  " + s));
        }

        private static List<String> suggestions(Lab lab, boolean several) {
            String exec = "ballast lab exec " + (several ? "-n " + lab.name() + " " : "");
            List<String> lines = new ArrayList<>();
            for (ServiceSpec service : lab.description().services().values()) {
                for (InetSocketAddress address : lab.addresses(service)) {
                    String curl = "curl -s " + Texts.url(address) + "/";
                    lines.add(lab.namespaces() ? exec + lab.client().name() + " -- " + curl : curl);
                }
            }
            lab.daemons().stream().findFirst().ifPresent(d -> lines.add(exec + d.node() + " -- ballast list"));
            lines.add("ballast lab down " + lab.name());
            return lines;
        }

        private static JsonObject json(Lab lab, long millis) {
            JsonObject json = new JsonObject();
            json.addProperty("name", lab.name());
            json.addProperty("directory", lab.directory().toString());
            json.addProperty("namespaces", lab.namespaces());
            json.addProperty("millis", millis);
            JsonArray nodes = new JsonArray();
            for (Node node : lab.topology().nodes()) {
                JsonObject one = new JsonObject();
                one.addProperty("name", node.name());
                one.addProperty("does", does(lab.topology(), node));
                JsonArray addresses = new JsonArray();
                node.links().stream()
                        .flatMap(l -> l.addresses().stream())
                        .forEach(a -> addresses.add(Addresses.print(a.address()) + "/" + a.prefixLength()));
                one.add("addresses", addresses);
                nodes.add(one);
            }
            json.add("nodes", nodes);
            JsonObject services = new JsonObject();
            for (ServiceSpec service : lab.description().services().values()) {
                JsonArray urls = new JsonArray();
                lab.addresses(service).forEach(a -> urls.add(Texts.url(a) + "/"));
                services.add(service.name(), urls);
            }
            json.add("services", services);
            json.add("virtualRouters", roles(lab.roles()));
            JsonArray notes = new JsonArray();
            notes(lab).forEach(notes::add);
            json.add("notes", notes);
            return json;
        }

        private static List<String> notes(Lab lab) {
            List<String> notes = new ArrayList<>(lab.topology().notes());
            lab.silent()
                    .ifPresent(address -> notes.add("no client gets through to a server at "
                            + HostPort.join(Addresses.print(address.getAddress()), address.getPort())
                            + "; what `ballast check` warns of, or `ballast status` on the director, may say why"));
            return notes;
        }

        private static String does(Topology topology, Node node) {
            List<String> roles = new ArrayList<>();
            if (node.director()) {
                roles.add("directs " + String.join(", ", node.directs()));
            }
            for (Site site : topology.sites()) {
                if (site.node().equals(node.name())) {
                    roles.add(site.sorry() ? "sorry server" : "web server");
                }
            }
            if (topology.echoes().stream().anyMatch(e -> e.node().equals(node.name()))) {
                roles.add("UDP server");
            }
            if (!node.receives().isEmpty()) {
                roles.add("receives " + String.join(", ", node.receives()));
            }
            return roles.isEmpty() ? "client" : String.join(", ", roles);
        }
    }

    private static final class Status implements Verb {
        @Override
        public VerbSpec spec() {
            return VerbSpec.of("status", "Show the labs that are up, or what runs in one")
                    .parameter(Parameter.optional("name", ValueKind.TEXT, "which lab"))
                    .example("ballast lab status", "is a lab still running");
        }

        @Override
        public int run(Invocation call) throws Exception {
            LabStore store = store(call);
            Terminal terminal = call.terminal();
            Optional<String> named = call.optionalParameter("name");
            if (named.isEmpty() && store.names().isEmpty()) {
                if (call.json()) {
                    JsonObject json = new JsonObject();
                    json.add("labs", new JsonArray());
                    terminal.json(json);
                } else {
                    terminal.out().println("no lab is up; bring one up with: ballast lab up examples/farm.yaml");
                }
                return Exit.DONE;
            }
            List<LabStore.Info> labs = new ArrayList<>();
            if (named.isPresent()) {
                labs.add(find(store, named));
            } else {
                for (String name : store.names()) {
                    store.info(name).ifPresent(labs::add);
                }
            }
            if (call.json()) {
                JsonArray array = new JsonArray();
                labs.forEach(l -> array.add(json(l)));
                JsonObject json = new JsonObject();
                json.add("labs", array);
                terminal.json(json);
            } else {
                labs.forEach(l -> show(l, terminal));
            }
            return labs.stream().allMatch(LabStore.Info::ready) ? Exit.DONE : Exit.FAILED;
        }

        private static void show(LabStore.Info lab, Terminal terminal) {
            terminal.out()
                    .println(terminal.style(Style.BOLD, "lab " + lab.name()) + ": "
                            + state(lab, terminal)
                            + ", from " + lab.source() + ", since "
                            + Texts.time(lab.created()) + (lab.namespaces() ? "" : ", on loopback addresses"));
            Table table = new Table("NODE", "PROGRAM", ">PID", "STATE");
            for (LabStore.RunningProcess process : lab.processes()) {
                table.row(
                        process.node(),
                        process.role(),
                        Long.toString(process.pid()),
                        process.alive() ? "running" : "ended");
            }
            table.lines().forEach(l -> terminal.out().println("  " + l));
            RouterRole.lines(LabStore.roles(lab)).forEach(line -> terminal.out().println("  virtual router " + line));
            terminal.out().println("  files in " + lab.directory());
        }

        private static String state(LabStore.Info lab, Terminal terminal) {
            if (lab.orphaned()) {
                return terminal.style(Style.RED, "left over from a killed program (ballast lab down takes it away)");
            }
            return lab.ready() ? terminal.style(Style.GREEN, "up") : terminal.style(Style.RED, "not whole");
        }

        private static JsonObject json(LabStore.Info lab) {
            JsonObject json = new JsonObject();
            json.addProperty("name", lab.name());
            json.addProperty("directory", lab.directory().toString());
            json.addProperty("namespaces", lab.namespaces());
            json.addProperty("source", lab.source());
            json.addProperty("created", lab.created().toString());
            json.addProperty("ready", lab.ready());
            JsonArray processes = new JsonArray();
            for (LabStore.RunningProcess process : lab.processes()) {
                JsonObject one = new JsonObject();
                one.addProperty("node", process.node());
                one.addProperty("role", process.role());
                one.addProperty("pid", process.pid());
                one.addProperty("alive", process.alive());
                processes.add(one);
            }
            json.add("processes", processes);
            json.add("virtualRouters", roles(LabStore.roles(lab)));
            return json;
        }
    }

    private static JsonArray roles(List<RouterRole> roles) {
        JsonArray array = new JsonArray();
        for (RouterRole role : roles) {
            JsonObject one = new JsonObject();
            one.addProperty("router", role.router());
            one.addProperty("family", role.ipv6() ? "ipv6" : "ipv4");
            one.addProperty("node", role.node());
            one.addProperty("role", role.role());
            array.add(one);
        }
        return array;
    }

    private static final class Exec implements Verb {
        @Override
        public VerbSpec spec() {
            return VerbSpec.of("exec", "Run a program on a node of a lab")
                    .describe("The program runs in the node's network, with BALLAST_RUN_DIR set so that `ballast` there"
                            + " speaks to the node's daemon. Its exit code is passed on; 127 says that there is no such"
                            + " program, and 126 that it cannot be executed.")
                    .parameter(Parameter.required("node", ValueKind.TEXT, "the node's name"))
                    .parameter(Parameter.many("command", ValueKind.COMMAND, "the program and its arguments", true))
                    .option(NAME)
                    .example("ballast lab exec client -- curl -s http://192.168.9.100/", "ask as a client would")
                    .example("ballast lab exec director -- ballast list", "the director's table");
        }

        @Override
        public int run(Invocation call) throws Exception {
            LabStore store = store(call);
            LabStore.Info lab = find(store, call.value("--name"));
            String node = call.parameter("node");
            checkNode(lab, node);
            List<String> command = call.parameters("command");
            ProcessBuilder builder = store.at(lab.name(), node, command);
            // Found here, in the lab's PATH: a process builder looks in this program's own.
            Path program =
                    LabStore.program(command.getFirst(), builder.environment().getOrDefault("PATH", ""));
            if (!Files.exists(program) || Files.isDirectory(program)) {
                return cannot(call, program, Files.exists(program) ? "is a directory" : "no such program");
            }
            if (!Files.isExecutable(program)) {
                return cannot(call, program, "is not executable");
            }
            builder.command().set(builder.command().size() - command.size(), program.toString());
            return runHere(builder, call);
        }

        /** As a shell answers. */
        private static int cannot(Invocation call, Path program, String why) {
            call.terminal().flush();
            call.terminal().err().println(call.terminal().errorStyle(Style.RED, "error: ") + program + ": " + why);
            return Files.exists(program) ? 126 : 127;
        }
    }

    private static final class Capture implements Verb {
        @Override
        public VerbSpec spec() {
            return VerbSpec.of("capture", "Show the packets of a node of a lab (tcpdump)")
                    .parameter(Parameter.required("node", ValueKind.TEXT, "the node's name"))
                    .parameter(Parameter.optional("interface", ValueKind.TEXT, "which interface (default: all)"))
                    .option(Option.value("--write", ValueKind.FILE, "FILE", "write them to a file, for Wireshark")
                            .letter('w'))
                    .option(Option.value("--count", ValueKind.NUMBER, "N", "end after so many")
                            .letter('c'))
                    .option(NAME)
                    .example("ballast lab capture director eth1", "what the director says to its servers")
                    .example("ballast lab capture client -w client.pcap", "keep it for later");
        }

        @Override
        public int run(Invocation call) throws Exception {
            LabStore store = store(call);
            LabStore.Info lab = find(store, call.value("--name"));
            String node = call.parameter("node");
            Node spec = checkNode(lab, node);
            Optional<String> missing = Privileges.missingForCapture();
            if (missing.isPresent()) {
                throw Failure.notPermitted(missing.get());
            }
            List<String> words = new ArrayList<>(List.of(Privileges.tcpdump(), "-n", "-i"));
            if (lab.namespaces()) {
                words.add(call.optionalParameter("interface").orElse("any"));
            } else {
                words.add("lo");
            }
            call.value("--write")
                    .ifPresentOrElse(file -> words.addAll(List.of("-U", "-w", file)), () -> words.add("-l"));
            call.value("--count").ifPresent(n -> words.addAll(List.of("-c", n)));
            if (!lab.namespaces()) {
                // All nodes share the loopback interface; the node's addresses tell its packets from the others'.
                List<String> hosts = spec.links().stream()
                        .flatMap(l -> l.addresses().stream())
                        .map(a -> "host " + a.address().getHostAddress())
                        .toList();
                words.add(String.join(" or ", hosts));
            }
            return runHere(store.at(lab.name(), node, words), call);
        }
    }

    private static final class Down implements Verb {
        @Override
        public VerbSpec spec() {
            return VerbSpec.of("down", "Take a lab away, with everything it started")
                    .describe(
                            "Also ends what was started by hand in its namespaces, and takes away what is left of a lab that"
                                    + " was killed. It is no error when no lab is up.")
                    .parameter(Parameter.optional("name", ValueKind.TEXT, "which lab"))
                    .option(Option.flag("--all", "every lab of yours"))
                    .example("ballast lab down", "nothing of the lab is left afterwards");
        }

        @Override
        public int run(Invocation call) throws Exception {
            LabStore store = store(call);
            List<String> names = store.names();
            Optional<String> named = call.optionalParameter("name");
            if (named.isEmpty() && names.size() > 1 && !call.flag("--all")) {
                throw Failure.usage(
                        "there are several labs: " + String.join(", ", names) + "; name one, or give --all");
            }
            List<String> removed = new ArrayList<>();
            for (String name : named.map(List::of).orElse(names)) {
                if (store.down(name)) {
                    removed.add(name);
                }
            }
            if (named.isPresent() && removed.isEmpty() && !names.isEmpty()) {
                throw Failure.failed("there is no lab " + named.get() + "; " + thereAre(names));
            }
            if (call.json()) {
                JsonArray array = new JsonArray();
                removed.forEach(array::add);
                JsonObject json = new JsonObject();
                json.add("removed", array);
                call.terminal().json(json);
            } else if (removed.isEmpty()) {
                call.terminal().out().println("no lab was up; nothing to do");
            } else {
                removed.forEach(n -> call.terminal().out().println("lab " + n + ": taken away"));
            }
            return Exit.DONE;
        }
    }

    private static Node checkNode(LabStore.Info lab, String node) throws IOException, Failure {
        Topology topology = LabStore.topology(lab);
        return topology.node(node)
                .orElseThrow(() -> Failure.usage("the lab " + lab.name() + " has no node " + node + "; it has "
                        + String.join(
                                ", ", topology.nodes().stream().map(Node::name).toList())));
    }

    /** Runs a program with this one's input and output. */
    private static int runHere(ProcessBuilder builder, Invocation call) throws IOException, InterruptedException {
        call.terminal().flush();
        return builder.inheritIO().start().waitFor();
    }
}
