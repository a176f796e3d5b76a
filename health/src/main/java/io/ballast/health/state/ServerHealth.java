package io.ballast.health.state;

import io.ballast.core.config.CheckSpec;
import io.ballast.health.state.RiseFall.Change;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;

/**
 * All checks of one server, combined: it is up only while every one of them is, and a server without checks is always
 * up.
 */
public final class ServerHealth {

    /**
     * One check's part.
     *
     * @param since nanoseconds of the results' clock
     * @param last the newest result, an inconclusive one included; empty before the first
     * @param lastAt when it came
     */
    public record CheckHealth(String name, RiseFall.State state, long since, Optional<ProbeResult> last, long lastAt) {}

    private static final class Check {
        private final RiseFall riseFall;
        private Optional<ProbeResult> last = Optional.empty();
        private long lastAt;

        Check(CheckSpec spec, long now) {
            riseFall = new RiseFall(spec, now);
        }
    }

    private Map<String, Check> checks = Map.of();
    private boolean up;
    private long since;

    /** A server with these checks, before any result. Their names must differ. */
    public ServerHealth(List<CheckSpec> specs, long now) {
        var _ = configure(specs, now);
        up = allUp();
        since = now;
    }

    /**
     * Takes a new list of checks. One that was there under the same name keeps what it believes, also where its probe
     * has changed: a reload must not take servers out that nothing has been heard against.
     */
    public Change configure(List<CheckSpec> specs, long now) {
        Map<String, Check> next = new LinkedHashMap<>();
        for (CheckSpec spec : specs) {
            Check check = checks.get(spec.name());
            if (check == null) {
                check = new Check(spec, now);
            } else {
                check.riseFall.configure(spec.rise(), spec.fall());
            }
            if (next.put(spec.name(), check) != null) {
                throw new IllegalArgumentException("two checks are named " + spec.name());
            }
        }
        checks = next;
        return combine(now);
    }

    /**
     * Takes one result of one check; one that is not of this server any more is ignored.
     *
     * @return what changed for the server as a whole
     */
    public Change onResult(String check, ProbeResult result, long now) {
        Check known = checks.get(check);
        if (known == null) {
            return Change.NONE;
        }
        known.last = Optional.of(result);
        known.lastAt = now;
        return known.riseFall.onResult(result.outcome(), now) == Change.NONE ? Change.NONE : combine(now);
    }

    private Change combine(long now) {
        boolean nowUp = allUp();
        if (nowUp == up) {
            return Change.NONE;
        }
        up = nowUp;
        since = now;
        return nowUp ? Change.WENT_UP : Change.WENT_DOWN;
    }

    private boolean allUp() {
        for (Check check : checks.values()) {
            if (!check.riseFall.up()) {
                return false;
            }
        }
        return true;
    }

    /** Whether every check is up. */
    public boolean up() {
        return up;
    }

    /** Since when, in the nanoseconds of the results' clock. */
    public long since() {
        return since;
    }

    /** The checks in the order of the description. */
    public List<CheckHealth> checks() {
        List<CheckHealth> all = new ArrayList<>(checks.size());
        checks.forEach((name, check) -> all.add(
                new CheckHealth(name, check.riseFall.state(), check.riseFall.since(), check.last, check.lastAt)));
        return List.copyOf(all);
    }

    /** Why it is as it is, for people: the newest result of the first check that is down, else of the first. */
    public String reason() {
        Check of = null;
        String name = "";
        for (Map.Entry<String, Check> entry : checks.entrySet()) {
            if (of == null || (of.riseFall.up() && !entry.getValue().riseFall.up())) {
                of = entry.getValue();
                name = entry.getKey();
            }
        }
        if (of == null) {
            return "no checks";
        }
        return name + ": " + of.last.map(ProbeResult::reason).orElse("not checked yet");
    }
}
