package io.ballast.core.config.reader;

import io.ballast.core.config.Endpoint;
import io.ballast.core.config.Problem.Severity;
import io.ballast.core.config.reader.ServiceSchema.ReadService;
import io.ballast.core.yaml.Node;
import java.util.HashMap;
import java.util.List;
import java.util.Map;

/** No two services may answer at one place. */
final class Endpoints {
    private record Place(String service, int line) {}

    private Endpoints() {}

    static void check(List<ReadService> services, Problems problems) {
        Map<Endpoint, Place> places = new HashMap<>();
        for (ReadService service : services) {
            for (int i = 0; i < service.places().size(); i++) {
                Node at = service.places().get(i);
                Endpoint endpoint = service.spec().listen().get(i);
                String name = service.spec().name();
                Place other = places.putIfAbsent(endpoint, new Place(name, at.line()));
                if (other != null) {
                    String whose = other.service().equals(name) ? "this service" : "the service " + other.service();
                    problems.add(
                            Severity.ERROR,
                            at.line(),
                            at.column(),
                            "services." + name + ".listen",
                            whose + " listens on " + endpoint + " already, in line " + other.line());
                }
            }
        }
    }
}
