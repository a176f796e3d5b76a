package io.ballast.core.config;

import java.util.List;
import java.util.Locale;
import java.util.Optional;

/**
 * One real server of a service.
 *
 * @param name unique in its service; where the file gives none, the node's name (for the first server on a node), else
 *     the address as written
 * @param weight 0 to 65535; 0 drains: established connections go on, new ones go elsewhere
 * @param limit connections at a time; 0 means none
 * @param state what the operator wants, whatever the checks say
 * @param checks the service's checks, or the server's own where it has some
 * @param quicId its ID in connection IDs of QUIC, hexadecimal digits in lower case
 */
public record ServerSpec(
        String name,
        HostPort address,
        int weight,
        int limit,
        AdminState state,
        List<CheckSpec> checks,
        Optional<String> quicId) {

    /** One that connection IDs do not name. */
    public ServerSpec(String name, HostPort address, int weight, int limit, AdminState state, List<CheckSpec> checks) {
        this(name, address, weight, limit, state, checks, Optional.empty());
    }

    /** What the operator wants of a server. */
    public enum AdminState {
        /** It gets connections while its checks pass. */
        ENABLED,
        /** It keeps its connections and gets no new ones. */
        DRAIN,
        /** It gets none, and its connections end when the drain time-out is over. */
        DISABLED;

        /** The name in {@code ballast.yaml}. */
        public String yamlName() {
            return name().toLowerCase(Locale.ROOT);
        }
    }
}
