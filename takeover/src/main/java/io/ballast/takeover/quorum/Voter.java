package io.ballast.takeover.quorum;

import io.ballast.takeover.quorum.Message.Answer;
import io.ballast.takeover.quorum.Message.Judgement;
import io.ballast.takeover.quorum.Message.Request;
import io.ballast.takeover.quorum.Message.Verdict;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.random.RandomGenerator;

/**
 * One voice about who has what. It gives each resource to one candidate at a time, for the time of a lease, and to nobody
 * else until that is over by its own clock or was given back. Whoever has more than half of the voices is the only one:
 * two halves and more have a voter in common, and that one has said yes once.
 *
 * <p>It writes nothing down. A voter that begins anew does not know what it has said, so it says yes to nobody until
 * everything that it can have said is over.
 *
 * <p>Requests may be lost, late, doubled, or recorded and sent again by somebody. A late release must not free what its
 * sender has got again since, and a recorded one nothing at all: so each life of a candidate has a session with the voter,
 * which begins by the voter's choosing a number that nobody can have recorded, and in which numbers only grow.
 *
 * <p>Times are nanoseconds of one clock that never goes back. Not thread-safe.
 */
final class Voter {
    /**
     * What a voter is.
     *
     * @param name its own
     * @param lease for how long it grants at most, in nanoseconds
     * @param electorate all voters, in a number
     */
    record Settings(String name, long lease, int electorate) {}

    private static final int CANDIDATES = 256;
    private static final int RESOURCES = 4096;

    private record Grant(String holder, long life, long until) {}

    private static final class Session {
        long life;
        long number;
        long sequence;
        long nextLife;
        long nextNumber;
    }

    private final RandomGenerator random;
    private final Map<String, Grant> grants = new HashMap<>();
    private final Map<String, Session> sessions = new HashMap<>();
    private Settings settings;
    private long silentUntil;

    Voter(Settings settings, RandomGenerator random, long now) {
        this.settings = settings;
        this.random = random;
        this.silentUntil = now + settings.lease();
    }

    /**
     * Other voters beside it, or another length. What it has granted stays; with other voters it says yes to nobody else
     * until what candidates may have got of the earlier ones is over.
     */
    void configure(Settings next, long now) {
        if (next.electorate() != settings.electorate()) {
            silentUntil = Math.max(silentUntil, now + Math.max(settings.lease(), next.lease()));
        }
        settings = next;
    }

    /** Nothing where the request is an old one, or there are too many candidates. */
    Optional<Answer> heard(Request request, long now) {
        Session session = sessions.get(request.from());
        if (session == null) {
            if (sessions.size() >= CANDIDATES) {
                return Optional.empty();
            }
            session = new Session();
            sessions.put(request.from(), session);
        }
        if (request.life() == session.life && request.sequence() <= session.sequence) {
            return Optional.empty();
        }
        if (!isOf(session, request)) {
            return Optional.of(answer(request, number(session, request.life()), Judgement.STRANGER, List.of()));
        }
        session.sequence = request.sequence();
        if (request.electorate() != settings.electorate()) {
            return Optional.of(answer(request, session.number, Judgement.OTHER_ELECTORATE, List.of()));
        }
        grants.values().removeIf(grant -> grant.until <= now);
        List<Verdict> verdicts = new ArrayList<>();
        for (String resource : request.resources()) {
            if (request.releases()) {
                grants.computeIfPresent(resource, (_, grant) -> isBy(grant, request) ? null : grant);
            } else {
                verdicts.add(judge(resource, request, now));
            }
        }
        return Optional.of(answer(request, session.number, Judgement.JUDGED, verdicts));
    }

    private static boolean isOf(Session session, Request request) {
        if (request.session() == 0) {
            return false;
        }
        if (request.life() == session.nextLife && request.session() == session.nextNumber) {
            session.life = session.nextLife;
            session.number = session.nextNumber;
            session.sequence = 0;
            session.nextNumber = 0;
        }
        return request.life() == session.life && request.session() == session.number;
    }

    /** A number for a session that may begin: what one that goes on has is not touched by who only asks for another. */
    private long number(Session session, long life) {
        if (session.nextNumber == 0 || session.nextLife != life) {
            session.nextLife = life;
            do {
                session.nextNumber = random.nextLong();
            } while (session.nextNumber == 0);
        }
        return session.nextNumber;
    }

    private Verdict judge(String resource, Request request, long now) {
        Grant known = grants.get(resource);
        if (known != null && !isBy(known, request)) {
            return new Verdict(false, known.holder);
        }
        if (known == null && (now < silentUntil || grants.size() >= RESOURCES)) {
            return new Verdict(false, "");
        }
        long until = now + lease(request);
        // What was said stays said, also where leases have become shorter.
        grants.put(
                resource,
                new Grant(request.from(), request.life(), known == null ? until : Math.max(known.until, until)));
        return new Verdict(true, "");
    }

    private static boolean isBy(Grant grant, Request request) {
        return grant.holder.equals(request.from()) && grant.life == request.life();
    }

    private long lease(Request request) {
        return Math.clamp(request.lease(), 0, settings.lease());
    }

    private Answer answer(Request request, long session, Judgement judgement, List<Verdict> verdicts) {
        return new Answer(
                settings.name(), request.life(), request.sequence(), session, judgement, lease(request), verdicts);
    }

    /** Who has what by this voice, by resource. */
    Map<String, String> holders(long now) {
        Map<String, String> holders = new HashMap<>();
        grants.forEach((resource, grant) -> {
            if (grant.until > now) {
                holders.put(resource, grant.holder);
            }
        });
        return holders;
    }

    /** Whether it says yes to nobody new for a while. */
    boolean isSilent(long now) {
        return now < silentUntil;
    }
}
