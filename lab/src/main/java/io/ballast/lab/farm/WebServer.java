package io.ballast.lab.farm;

import io.ballast.core.config.HostPort;
import io.ballast.lab.farm.ProcessId.Stat;
import io.ballast.lab.topology.Site;
import io.ballast.linux.Signal;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import org.jspecify.annotations.Nullable;

/**
 * A real web server of the lab, and what may befall it: nginx where it is installed, the JDK's own web server
 * ({@link PageServer}) where it is not.
 */
public final class WebServer {
    private static final Duration PATIENCE = Duration.ofSeconds(15);

    /** How it answers. */
    public enum Mode {
        /** As it should. */
        RIGHT,
        /** With status 500. */
        ERROR,
        /** Slower than any check waits. */
        SLOW
    }

    /** What a program of a farm runs in. */
    public interface Host {
        /** Starts a program on a node. */
        ProcessId start(String node, String role, List<String> command) throws IOException, InterruptedException;
    }

    private final Site site;
    private final Path directory;
    private final Host host;
    private final Optional<String> nginx;
    private @Nullable ProcessId process;

    /**
     * A server that does not run yet.
     *
     * @param directory of the server's own, for its pages and settings; must exist
     */
    WebServer(Site site, Path directory, Host host, Optional<String> nginx) {
        this.site = site;
        this.directory = directory;
        this.host = host;
        this.nginx = nginx;
    }

    /** What it serves. */
    public Site site() {
        return site;
    }

    /** What it is, for people. */
    public String program() {
        return nginx.isPresent() ? "nginx" : "the JDK's web server";
    }

    /** Its main process; 0 while it does not run. */
    public long pid() {
        return process == null || !process.alive() ? 0 : process.pid();
    }

    /** Writes its pages and starts it; returns before it listens. */
    public void start() throws IOException, InterruptedException {
        configure(Mode.RIGHT);
        List<String> command = nginx.map(program ->
                        List.of(program, "-e", "stderr", "-p", directory.toString(), "-c", directory + "/nginx.conf"))
                .orElseGet(() -> Jvm.java(
                        PageServer.class.getName(),
                        // The answers are small; the compiler's and collector's threads are the larger cost.
                        List.of("-Xmx32m", "-XX:TieredStopAtLevel=1")));
        if (nginx.isEmpty()) {
            command = new ArrayList<>(command);
            command.add(directory.toString());
        }
        process = host.start(site.node(), "web-" + site.name(), command);
    }

    /** Waits until it listens. */
    public void awaitListening() throws IOException, InterruptedException {
        ProcessId started = process;
        for (long until = System.nanoTime() + PATIENCE.toNanos(); ; ) {
            if (started == null || !started.alive()) {
                throw new IOException(program() + " of " + site.name() + " ended at once; its log says why");
            }
            Set<InetSocketAddress> listening = ListeningSockets.inNetworkOf(started.pid());
            if (site.listen().stream().allMatch(wanted -> isServed(wanted, listening))) {
                return;
            }
            if (System.nanoTime() > until) {
                throw new IOException(program() + " of " + site.name() + " does not listen on " + site.listen()
                        + " after " + PATIENCE.toSeconds() + " s; its log says why");
            }
            Thread.sleep(5);
        }
    }

    private static boolean isServed(InetSocketAddress wanted, Set<InetSocketAddress> listening) {
        return listening.contains(wanted)
                || listening.stream()
                        .anyMatch(a -> a.getAddress().isAnyLocalAddress() && a.getPort() == wanted.getPort());
    }

    /** Asks it to finish what it is doing and end. */
    public void stop() throws IOException {
        if (process != null) {
            // nginx takes SIGQUIT for a graceful end and SIGTERM for a quick one.
            OwnProcesses.signal(process, nginx.isPresent() ? Signal.QUIT : Signal.TERM);
        }
    }

    /** Ends it with SIGKILL, every process of it. */
    public void kill() throws IOException {
        signalAll(Signal.KILL);
    }

    /** Stops it as it stands (SIGSTOP): its kernel still accepts connections, and nobody answers. */
    public void freeze() throws IOException {
        signalAll(Signal.STOP);
    }

    /** Lets it go on. */
    public void thaw() throws IOException {
        signalAll(Signal.CONT);
    }

    /** Makes it answer in another way. */
    public void answer(Mode mode) throws IOException {
        configure(mode);
        if (process != null && nginx.isPresent()) {
            OwnProcesses.signal(process, Signal.HUP);
        }
    }

    private void signalAll(Signal signal) throws IOException {
        if (process == null) {
            return;
        }
        for (Stat stat : ProcessId.all()) {
            if (stat.session() == process.pid() && !stat.zombie()) {
                OwnProcesses.signal(stat.id(), signal);
            }
        }
    }

    private void configure(Mode mode) throws IOException {
        int n = 0;
        StringBuilder settings = new StringBuilder();
        for (var page : site.pages().entrySet()) {
            String file = "page" + n++;
            if (!Files.exists(directory.resolve(file))) { // a running server may be reading it
                Files.writeString(directory.resolve(file), page.getValue().text());
            }
            settings.append(
                    nginx.isPresent()
                            ? location(page.getKey(), page.getValue(), file, mode)
                            : file + " " + page.getValue().status() + " " + page.getKey() + "\n");
        }
        if (nginx.isPresent()) {
            Files.writeString(directory.resolve("nginx.conf"), nginxSettings(settings.toString()));
        } else {
            StringBuilder listen = new StringBuilder();
            site.single().forEach(a -> listen.append(hostPort(a)).append('\n'));
            // One socket of the JDK's takes both address families.
            site.everywhere()
                    .forEach(port -> listen.append("[::]:").append(port).append('\n'));
            Files.writeString(directory.resolve("listen"), listen);
            Files.writeString(directory.resolve("pages"), settings);
            Files.writeString(directory.resolve("mode"), mode.name());
        }
    }

    private String nginxSettings(String locations) {
        StringBuilder listen = new StringBuilder();
        List<String> places = new ArrayList<>();
        site.single().forEach(a -> places.add(hostPort(a)));
        site.everywhere().forEach(port -> places.addAll(List.of("0.0.0.0:" + port, "[::]:" + port)));
        places.forEach(a -> listen.append("    listen ").append(a).append(" backlog=1024;\n"));
        return """
                %1$sdaemon off;
                worker_processes 1;
                pid %2$s/nginx.pid;
                error_log stderr warn;
                events { worker_connections 4096; }
                http {
                  access_log off;
                  default_type text/plain;
                  client_body_temp_path %2$s/body;
                  proxy_temp_path %2$s/proxy;
                  fastcgi_temp_path %2$s/fastcgi;
                  uwsgi_temp_path %2$s/uwsgi;
                  scgi_temp_path %2$s/scgi;
                  root %2$s;
                  server {
                %3$s%4$s  }
                }
                """.formatted(
                System.getProperty("user.name").equals("root") ? "user root;\n" : "", directory, listen, locations);
    }

    private static String location(String path, Site.Page page, String file, Mode mode) {
        String serve = "try_files /" + file + " =404;";
        String answer = switch (mode) {
            case ERROR -> "return 500;";
            // Head and page are about 250 bytes: this takes more than ten seconds.
            case SLOW -> serve + " limit_rate 20;";
            case RIGHT ->
                page.status() == 200
                        ? serve
                        : "error_page " + page.status() + " /" + file + "; return " + page.status() + ";";
        };
        String quoted = path.replace("\\", "\\\\").replace("\"", "\\\"");
        return "    location = \"" + quoted + "\" { " + answer + " }\n"
                + (page.status() == 200 ? "" : "    location = /" + file + " { internal; }\n");
    }

    private static String hostPort(InetSocketAddress address) {
        return HostPort.join(address.getAddress().getHostAddress(), address.getPort());
    }
}
