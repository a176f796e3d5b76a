package io.ballast.lab.load;

import com.google.gson.JsonObject;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.time.Duration;

/**
 * What a load generator sends, and what it takes for a right answer.
 *
 * @param udp whether it asks by datagrams, and takes its own words behind a server's name for an answer; the path,
 *     connections, the status and the text are those of HTTP
 * @param rate requests a second
 * @param timeout from a request's intended start to the end of its answer
 * @param keepAlive whether connections are used again; otherwise each request has its own
 * @param status the expected status
 * @param text what the body must contain; empty accepts any
 */
public record LoadPlan(
        boolean udp,
        InetSocketAddress target,
        String path,
        double rate,
        Duration timeout,
        boolean keepAlive,
        int status,
        String text) {

    /** By HTTP. */
    public LoadPlan(
            InetSocketAddress target,
            String path,
            double rate,
            Duration timeout,
            boolean keepAlive,
            int status,
            String text) {
        this(false, target, path, rate, timeout, keepAlive, status, text);
    }

    /** By datagrams to an echo, each from a port of its own. */
    public static LoadPlan datagrams(InetSocketAddress target, double rate, Duration timeout) {
        return new LoadPlan(true, target, "", rate, timeout, false, 0, "");
    }

    /** The same load at another rate. */
    public LoadPlan withRate(double perSecond) {
        return new LoadPlan(udp, target, path, perSecond, timeout, keepAlive, status, text);
    }

    JsonObject toJson() {
        JsonObject json = new JsonObject();
        json.addProperty("udp", udp);
        json.addProperty("address", target.getAddress().getHostAddress());
        json.addProperty("port", target.getPort());
        json.addProperty("path", path);
        json.addProperty("rate", rate);
        json.addProperty("timeoutMillis", timeout.toMillis());
        json.addProperty("keepAlive", keepAlive);
        json.addProperty("status", status);
        json.addProperty("text", text);
        return json;
    }

    static LoadPlan fromJson(JsonObject json) throws UnknownHostException {
        return new LoadPlan(
                json.get("udp").getAsBoolean(),
                new InetSocketAddress(
                        InetAddress.getByName(json.get("address").getAsString()),
                        json.get("port").getAsInt()),
                json.get("path").getAsString(),
                json.get("rate").getAsDouble(),
                Duration.ofMillis(json.get("timeoutMillis").getAsLong()),
                json.get("keepAlive").getAsBoolean(),
                json.get("status").getAsInt(),
                json.get("text").getAsString());
    }
}
