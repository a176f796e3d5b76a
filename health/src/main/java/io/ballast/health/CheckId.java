package io.ballast.health;

/**
 * Names one check of one server.
 *
 * @param check unique among the server's
 */
public record CheckId(String service, String server, String check) {

    @Override
    public String toString() {
        return service + "/" + server + "/" + check;
    }
}
