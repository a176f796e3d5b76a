package io.ballast.lab.load;

import com.google.gson.JsonObject;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.UnknownHostException;
import java.time.Duration;

/**
 * What a load generator sends, and what it takes for a right answer.
 *
 * @param rate requests a second
 * @param timeout from a request's intended start to the end of its answer
 * @param keepAlive whether connections are used again; otherwise each request has its own
 * @param status the expected status
 * @param text what the body must contain; empty accepts any
 */
public record LoadPlan(
        InetSocketAddress target,
        String path,
        double rate,
        Duration timeout,
        boolean keepAlive,
        int status,
        String text) {

    /** The same load at another rate. */
    public LoadPlan withRate(double perSecond) {
        return new LoadPlan(target, path, perSecond, timeout, keepAlive, status, text);
    }

    JsonObject toJson() {
        JsonObject json = new JsonObject();
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
