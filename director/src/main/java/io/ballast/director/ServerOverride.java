package io.ballast.director;

import io.ballast.core.config.HostPort;
import io.ballast.core.config.ServerSpec;
import java.util.Optional;

/**
 * What an operator changed about one server at run time, without editing the description.
 *
 * <p>It remembers what the description said at that moment. As long as the description still says the same, the
 * operator's wish holds, over reloads and restarts; once the description says anything else of this server, the
 * description wins and the override lapses: the newer decision counts.
 *
 * @param described what the description said of the server; empty where it has no such server
 * @param wanted what runs instead; empty where the server was removed
 */
public record ServerOverride(Optional<Facts> described, Optional<Facts> wanted) {

    /** What can be overridden of a server, and what identifies it. */
    public record Facts(HostPort address, int weight, int limit, ServerSpec.AdminState state) {

        /** The facts of a server in the description. */
        public static Facts of(ServerSpec server) {
            return new Facts(server.address(), server.weight(), server.limit(), server.state());
        }

        Facts withWeight(int newWeight) {
            return new Facts(address, newWeight, limit, state);
        }

        Facts withState(ServerSpec.AdminState newState) {
            return new Facts(address, weight, limit, newState);
        }
    }

    /** Whether it still holds, given what the description says of the server now. */
    public boolean holdsFor(Optional<Facts> now) {
        return described.equals(now);
    }

    /** Whether it asks for what the description says anyway. */
    boolean isNothing() {
        return described.equals(wanted);
    }
}
