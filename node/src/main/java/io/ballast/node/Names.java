package io.ballast.node;

import io.ballast.core.config.Description;
import io.ballast.core.config.Problem;
import io.ballast.core.config.ServiceSpec;
import java.util.ArrayList;
import java.util.List;
import java.util.Optional;

/** The names in a description that the daemon would ask the resolver for. */
public final class Names {
    private Names() {}

    /**
     * Warnings of the names that have no address on this machine now. Blocks while the resolver is asked, ten seconds at
     * most; not at all where there are no names.
     *
     * @param file for messages
     * @param host this machine, to look only at what it would do; everything where the description does not know it
     */
    public static List<Problem> warnings(String file, Description description, String host)
            throws InterruptedException {
        List<ServiceSpec> services = NodeRole.byName(description, host)
                .map(node -> NodeRole.services(description, node))
                .orElseGet(() -> List.copyOf(description.services().values()));
        List<Problem> warnings = new ArrayList<>();
        try {
            var _ = Resolution.of(services, file, Resolution.Resolver.SYSTEM, Optional.empty(), warnings);
        } catch (Resolution.UnresolvedException e) {
            warnings.addAll(e.problems());
        }
        return warnings;
    }
}
