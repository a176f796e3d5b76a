package io.ballast.lab.farm;

import io.ballast.core.config.HostPort;
import io.ballast.lab.topology.Site;
import io.ballast.linux.Signal;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;
import java.util.Set;

/**
 * A real web server of the lab, and what may befall it: nginx where it is installed, the JDK's own web server
 * ({@link PageServer}) where it is not.
 */
public final class WebServer extends LabServer {
    /** How it answers. */
    public enum Mode {
        /** As it should. */
        RIGHT,
        /** With status 500. */
        ERROR,
        /** Slower than any check waits. */
        SLOW
    }

    private final Site site;
    private final Path directory;
    private final Optional<String> nginx;

    /**
     * A server that does not run yet.
     *
     * @param directory of the server's own, for its pages and settings; must exist
     */
    WebServer(Site site, Path directory, Host host, Optional<String> nginx) {
        super(site.node(), "web-" + site.name(), host);
        this.site = site;
        this.directory = directory;
        this.nginx = nginx;
    }

    /** What it serves. */
    public Site site() {
        return site;
    }

    @Override
    public String program() {
        return nginx.isPresent() ? "nginx" : "the JDK's web server";
    }

    @Override
    public List<InetSocketAddress> listen() {
        return site.listen();
    }

    /** Writes its pages first. */
    @Override
    List<String> command() throws IOException {
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
        return command;
    }

    @Override
    boolean isServing(long pid) throws IOException {
        Set<InetSocketAddress> listening = ListeningSockets.inNetworkOf(pid);
        return site.listen().stream().allMatch(wanted -> isServed(wanted, listening));
    }

    /** nginx takes SIGQUIT for a graceful end and SIGTERM for a quick one. */
    @Override
    Signal gracefulEnd() {
        return nginx.isPresent() ? Signal.QUIT : Signal.TERM;
    }

    /** Makes it answer in another way. */
    public void answer(Mode mode) throws IOException {
        configure(mode);
        ProcessId running = process();
        if (running != null && nginx.isPresent()) {
            OwnProcesses.signal(running, Signal.HUP);
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
                events { worker_connections 16384; }
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
