package io.ballast.node.http;

import java.net.URLDecoder;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;

/**
 * One request, whole.
 *
 * @param method as sent, for instance {@code GET}
 * @param path the segments of the path, decoded: {@code /v1/services/web} is {@code [v1, services, web]}
 * @param query its parameters, decoded; of a repeated one the last counts
 * @param headers by lower-case name; of a repeated one the last counts
 */
@SuppressWarnings("ArrayRecordComponent") // requests are not compared, and a body may be large
public record Request(
        String method, List<String> path, Map<String, String> query, Map<String, String> headers, byte[] body) {

    /** Reads a request target (RFC 9112, section 3.2.1: the origin form). */
    static Request of(String method, String target, Map<String, String> headers, byte[] body) throws HttpException {
        if (!target.startsWith("/")) {
            throw new HttpException(400, "the request target \"" + target + "\" does not begin with /");
        }
        int question = target.indexOf('?');
        String rawPath = question < 0 ? target : target.substring(0, question);
        List<String> path = new ArrayList<>();
        for (String segment : rawPath.split("/", -1)) {
            if (!segment.isEmpty()) {
                // In a path a plus is a plus.
                path.add(decode(segment.replace("+", "%2B")));
            }
        }
        Map<String, String> query = new LinkedHashMap<>();
        if (question >= 0) {
            for (String pair : target.substring(question + 1).split("&", -1)) {
                if (!pair.isEmpty()) {
                    int equals = pair.indexOf('=');
                    query.put(
                            decode(equals < 0 ? pair : pair.substring(0, equals)),
                            equals < 0 ? "" : decode(pair.substring(equals + 1)));
                }
            }
        }
        return new Request(method, List.copyOf(path), query, headers, body);
    }

    private static String decode(String text) throws HttpException {
        try {
            return URLDecoder.decode(text, StandardCharsets.UTF_8);
        } catch (IllegalArgumentException e) {
            throw new HttpException(400, "the request target has a broken %-escape in \"" + text + "\"");
        }
    }

    /** A header's value. */
    public Optional<String> header(String name) {
        return Optional.ofNullable(headers.get(name.toLowerCase(Locale.ROOT)));
    }

    /** A query parameter's value. */
    public Optional<String> parameter(String name) {
        return Optional.ofNullable(query.get(name));
    }

    /** The body as UTF-8. */
    public String text() {
        return new String(body, StandardCharsets.UTF_8);
    }
}
