package io.ballast.director.xdp;

import io.ballast.core.config.Addresses;
import io.ballast.core.config.Endpoint;
import io.ballast.core.config.ForwardingMethod;
import io.ballast.director.xdp.PathProbe.Answer;
import java.net.InetAddress;
import java.util.HashMap;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * What is believed about servers that were asked as clients ask them ({@link PathProbe}): that one does not take the
 * service's packets is believed when it was found twice, that it does when it was found once.
 */
final class Acceptance {
    private static final int TIMES = 2;

    /** A server of a service. */
    record Member(String service, String server) {}

    /**
     * What was found.
     *
     * @param endpoint one at which it was so
     */
    record Finding(Endpoint endpoint, ForwardingMethod method, InetAddress server, Answer answer) {

        /** For a line in a list. */
        String shortly() {
            return answer == Answer.REFUSES
                    ? "refuses connections to " + endpoint
                    : "does not take the service's traffic (" + endpoint + " does not answer " + way() + ")";
        }

        private String way() {
            return switch (method) {
                case TUNNEL -> "through the tunnel";
                case GUE -> "through the GUE tunnel";
                default -> "at its MAC address";
            };
        }

        /** What to do. */
        String remedy() {
            String address = Addresses.print(endpoint.address());
            return answer == Answer.REFUSES
                    ? "is the program listening on " + address + ", or on all addresses?"
                    : switch (method) {
                        case DR ->
                            "is " + address + " on its lo, and does this director's `forwarding` agree with"
                                    + " its own? `ballast run` there sees to both";
                        default ->
                            "is " + address + " on its lo, does it unpack the tunnel (`ballast run` there sees to"
                                    + " both), and do firewalls on the way let "
                                    + (method == ForwardingMethod.GUE ? "UDP port 6080" : "IP in IP") + " to "
                                    + Addresses.print(server) + " pass?";
                    };
        }
    }

    /** Hears of changes. */
    interface Listener {
        /** It does not take the traffic since lately. */
        void begins(Member member, Finding finding);

        /** It takes it again. */
        void ends(Member member, Finding finding);
    }

    private final Listener listener;
    private final Map<Member, Finding> troubles = new LinkedHashMap<>();
    private final Map<Member, Integer> times = new HashMap<>();

    Acceptance(Listener listener) {
        this.listener = listener;
    }

    /**
     * A round has ended.
     *
     * @param asked those that were asked; what was believed about others is forgotten
     * @param found of those that did not accept at an endpoint at least
     */
    void heard(Set<Member> asked, Map<Member, Finding> found) {
        times.keySet().retainAll(found.keySet());
        found.forEach((member, finding) -> {
            if (times.merge(member, 1, Integer::sum) < TIMES) {
                return;
            }
            Finding before = troubles.put(member, finding);
            if (before == null || !before.answer().equals(finding.answer())) {
                listener.begins(member, finding);
            }
        });
        for (Member member : new HashSet<>(troubles.keySet())) {
            if (!asked.contains(member)) {
                troubles.remove(member);
            } else if (!found.containsKey(member)) {
                listener.ends(member, Objects.requireNonNull(troubles.remove(member)));
            }
        }
    }

    /** Whether something was found that is not believed yet. */
    boolean inDoubt() {
        return !troubles.keySet().containsAll(times.keySet());
    }

    /** Who does not take the service's traffic. */
    Map<Member, Finding> troubles() {
        return Map.copyOf(troubles);
    }

    void clear() {
        troubles.clear();
        times.clear();
    }
}
