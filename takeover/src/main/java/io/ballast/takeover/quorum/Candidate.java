package io.ballast.takeover.quorum;

import io.ballast.takeover.quorum.Message.Answer;
import io.ballast.takeover.quorum.Message.Judgement;
import io.ballast.takeover.quorum.Message.Request;
import io.ballast.takeover.quorum.Message.Verdict;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashMap;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;
import java.util.TreeMap;
import java.util.TreeSet;
import java.util.random.RandomGenerator;
import org.jspecify.annotations.Nullable;

/**
 * A node that wants leases of a majority of voters ({@link Voter}), and says until when it has them.
 *
 * <p>A yes counts from before it was asked for, and a little shorter than the voter reckons, as clocks do not run alike.
 * Until the moment for which more than half of the voters have said yes, nobody else can have it; this node must have let
 * go by then, whether it hears of anything or not. It asks again long before.
 *
 * <p>Where several want the same at once and none gets enough, all give back what they have got and ask again, each
 * another while later.
 *
 * <p>Times are nanoseconds of one clock that never goes back. Not thread-safe.
 */
final class Candidate {
    /**
     * What a candidate is.
     *
     * @param name its own
     * @param voters all there are
     * @param lease how long it wants to have things, in nanoseconds
     * @param electorate all voters, in a number
     */
    record Settings(String name, Set<String> voters, long lease, int electorate) {
        Settings {
            voters = Set.copyOf(voters);
        }

        int majority() {
            return voters.size() / 2 + 1;
        }
    }

    /** Where decisions go. */
    interface Output {
        void send(String voter, Request request);

        /** It is this node's until then, and nobody else's. */
        void held(String resource, long until);

        /** It is not this node's any more, though it still wants it. */
        void lost(String resource, String why);
    }

    /** By how much clocks may differ, of a lease: one part in so many. Linux slews them by 1 in 2,000 at most. */
    static final int DRIFT = 64;

    /** How often it asks for what it has, in one lease. */
    private static final int RENEWALS = 5;

    /** How often it asks for what it wants, in one lease: at first, when another is just giving it back; */
    private static final int FIRST_ATTEMPTS = 200;

    /** then, when the lease of another may be over; */
    private static final int ATTEMPTS = 50;

    /** and in the long run. */
    private static final int LATER_ATTEMPTS = 10;

    /** How often a release is told, as it may get lost. */
    private static final int RELEASES = 3;

    private static final int MOST_ROUNDS = 1000;
    private static final long NEVER = Long.MAX_VALUE;

    private record Round(long sentAt, List<String> resources) {}

    private static final class Link {
        long session;
        /** The first request of the session. */
        long begun;
        /** When what it has answered was sent. */
        long heard = Long.MIN_VALUE;

        /** For how long it grants; 0 where it has not said so. */
        long lease;

        Judgement judgement = Judgement.STRANGER;
    }

    private static final class Claim {
        final long since;
        /** The last request before what its answers say: what they granted has been given back. */
        long after;

        final Map<String, Long> granted = new HashMap<>();
        /** Who had it when they were asked last, by voters; empty where a voter may not say yes yet. */
        final Map<String, String> refused = new TreeMap<>();

        long askAt;
        long until = Long.MIN_VALUE;

        Claim(long since, long after) {
            this.since = since;
            this.after = after;
            this.askAt = since;
        }

        boolean isHeld() {
            return until != Long.MIN_VALUE;
        }
    }

    private final Output output;
    private final RandomGenerator random;
    private final long life;
    private final Map<String, Link> links = new TreeMap<>();
    private final Map<String, Claim> claims = new LinkedHashMap<>();
    /** How often it is still to be said that they are given up. */
    private final Map<String, Integer> releases = new LinkedHashMap<>();

    private final LinkedHashMap<Long, Round> rounds = new LinkedHashMap<>();
    private Settings settings;
    private long sequence;
    private long pingAt;
    /** Until then, answers count for longer than a lease. */
    private long patience = Long.MIN_VALUE;

    private long patient;
    private long releaseAt = NEVER;

    Candidate(Settings settings, Output output, RandomGenerator random, long now) {
        this.settings = settings;
        this.output = output;
        this.random = random;
        this.life = random.nextLong();
        this.pingAt = now;
        settings.voters().forEach(voter -> links.put(voter, new Link()));
    }

    /** Other voters, or another length; what this node has stays, as far as it still has most voices. */
    void configure(Settings next, long now) {
        // Who was asked at longer intervals is not silent for that.
        patience = Math.max(patience, now + settings.lease() + next.lease());
        patient = Math.max(settings.lease(), next.lease());
        settings = next;
        pingAt = now;
        links.keySet().retainAll(next.voters());
        next.voters().forEach(voter -> links.computeIfAbsent(voter, _ -> new Link()));
        for (Claim claim : claims.values()) {
            claim.granted.keySet().retainAll(next.voters());
            claim.refused.keySet().retainAll(next.voters());
            claim.askAt = now;
        }
        claims.forEach((resource, claim) -> count(resource, claim, now));
        tick(now);
    }

    /** Wants it from now on. */
    void want(String resource, long now) {
        if (claims.putIfAbsent(resource, new Claim(now, sequence)) == null) {
            releases.remove(resource);
        }
    }

    /** Does not want it any more, and has let go of it. */
    void release(String resource, long now) {
        if (claims.remove(resource) != null) {
            releases.put(resource, RELEASES);
            releaseAt = now;
        }
    }

    void heard(Answer answer, long now) {
        Link link = links.get(answer.voter());
        Round round = rounds.get(answer.sequence());
        if (link == null || round == null || answer.life() != life) {
            return;
        }
        link.judgement = answer.judgement();
        link.heard = Math.max(link.heard, round.sentAt);
        if (answer.judgement() == Judgement.JUDGED) {
            link.lease = answer.lease();
        }
        if (answer.judgement() == Judgement.STRANGER && answer.sequence() > link.begun) {
            sequence++;
            link.begun = sequence;
            link.session = answer.session();
            List<String> again =
                    round.resources.stream().filter(claims::containsKey).toList();
            send(answer.voter(), link, false, again, now);
        }
        int judged = Math.min(round.resources.size(), answer.verdicts().size());
        for (int i = 0; i < judged; i++) {
            String resource = round.resources.get(i);
            Claim claim = claims.get(resource);
            if (claim != null && answer.sequence() > claim.after) {
                count(answer, answer.verdicts().get(i), round, claim);
                count(resource, claim, now);
            }
        }
    }

    private static void count(Answer answer, Verdict verdict, Round round, Claim claim) {
        if (verdict.granted()) {
            long until = round.sentAt + answer.lease() - answer.lease() / DRIFT;
            claim.granted.merge(answer.voter(), until, Math::max);
            claim.refused.remove(answer.voter());
        } else {
            claim.refused.put(answer.voter(), verdict.holder());
        }
    }

    private void count(String resource, Claim claim, long now) {
        long until = until(claim.granted.values());
        if (until > now && until > claim.until) {
            claim.until = until;
            output.held(resource, until);
        } else if (claim.isHeld() && until < claim.until) {
            claim.until = Math.max(until, now); // a voter is none any more
        }
    }

    /** Until when more than half of the voters have said yes. */
    private long until(Collection<Long> granted) {
        int majority = settings.majority();
        if (granted.size() < majority) {
            return Long.MIN_VALUE;
        }
        List<Long> latestFirst = new ArrayList<>(granted);
        latestFirst.sort(Collections.reverseOrder());
        return latestFirst.get(majority - 1);
    }

    /** Does what has become due; what arrived until now has been told of. */
    void tick(long now) {
        rounds.values().removeIf(round -> now - round.sentAt > settings.lease());
        claims.forEach((resource, claim) -> {
            if (claim.isHeld() && now >= claim.until) {
                claim.until = Long.MIN_VALUE;
                output.lost(resource, why(claim, now));
            }
        });
        List<String> asked = new ArrayList<>();
        List<String> givenBack = new ArrayList<>();
        // Those that will be due soon go along.
        long soon = now + settings.lease() / RENEWALS / 4;
        boolean due = claims.values().stream().anyMatch(claim -> claim.askAt <= now);
        claims.forEach((resource, claim) -> {
            if (due && claim.askAt <= (claim.isHeld() ? soon : now)) {
                if (isStuck(claim, now)) {
                    claim.granted.clear();
                    claim.refused.clear();
                    givenBack.add(resource);
                    claim.askAt = now + random.nextLong(settings.lease() / ATTEMPTS, settings.lease() / LATER_ATTEMPTS);
                } else {
                    asked.add(resource);
                    claim.askAt = now + pause(claim, now);
                }
            }
        });
        if (!givenBack.isEmpty()) {
            send(true, givenBack, now);
            givenBack.forEach(resource -> Objects.requireNonNull(claims.get(resource)).after = sequence);
        }
        release(now);
        if (!asked.isEmpty() || now >= pingAt) {
            send(false, asked, now);
            pingAt = now + shortest() / RENEWALS;
        }
    }

    /** Whether it has some voices that may be what keeps another from having enough. */
    private static boolean isStuck(Claim claim, long now) {
        return !claim.isHeld()
                && claim.granted.values().stream().anyMatch(until -> until > now)
                && claim.refused.values().stream().anyMatch(holder -> !holder.isEmpty());
    }

    private long pause(Claim claim, long now) {
        if (claim.isHeld()) {
            return shortest() / RENEWALS;
        }
        long wanted = now - claim.since;
        long pause = settings.lease()
                / (wanted < settings.lease() / 5
                        ? FIRST_ATTEMPTS
                        : wanted < 2 * settings.lease() ? ATTEMPTS : LATER_ATTEMPTS);
        return pause / 2 + random.nextLong(pause);
    }

    /** Of the leases that voters grant: until all have read the same description, some are shorter. */
    private long shortest() {
        long shortest = settings.lease();
        for (Link link : links.values()) {
            if (link.lease > 0) {
                shortest = Math.min(shortest, link.lease);
            }
        }
        return shortest;
    }

    private void release(long now) {
        if (now < releaseAt) {
            return;
        }
        send(true, List.copyOf(releases.keySet()), now);
        releases.replaceAll((_, left) -> left - 1);
        releases.values().removeIf(left -> left == 0);
        releaseAt = releases.isEmpty() ? NEVER : now + settings.lease() / ATTEMPTS;
    }

    private void send(boolean isRelease, List<String> resources, long now) {
        int from = 0;
        do {
            int to = Math.min(from + MessageCodec.RESOURCES, resources.size());
            List<String> some = List.copyOf(resources.subList(from, to));
            sequence++;
            links.forEach((voter, link) -> send(voter, link, isRelease, some, now));
            from = to;
        } while (from < resources.size());
    }

    private void send(String voter, Link link, boolean isRelease, List<String> resources, long now) {
        if (!isRelease) {
            rounds.put(sequence, new Round(now, resources));
            if (rounds.size() > MOST_ROUNDS) {
                rounds.pollFirstEntry();
            }
        }
        output.send(
                voter,
                new Request(
                        isRelease,
                        settings.name(),
                        life,
                        link.session,
                        sequence,
                        settings.electorate(),
                        settings.lease(),
                        resources));
    }

    /** When {@link #tick} has something to do. */
    long due() {
        long due = Math.min(pingAt, releaseAt);
        for (Claim claim : claims.values()) {
            due = Math.min(due, claim.isHeld() ? Math.min(claim.askAt, claim.until) : claim.askAt);
        }
        return due;
    }

    // ---- What is told of it

    /** The voters that have answered what was asked in the last lease. */
    Set<String> heard(long now) {
        Set<String> heard = new TreeSet<>();
        links.forEach((voter, link) -> {
            long good = now < patience ? Math.max(patient, settings.lease()) : settings.lease();
            if (link.heard != Long.MIN_VALUE && now - link.heard <= good) {
                heard.add(voter);
            }
        });
        return heard;
    }

    /** Whether those are enough. */
    boolean reachesMost(long now) {
        return heard(now).size() >= settings.majority();
    }

    /** Which voters are silent, for people. */
    String silent(long now) {
        Set<String> silent = new TreeSet<>(settings.voters());
        silent.removeAll(heard(now));
        return silent.isEmpty() ? "" : "no answer from " + String.join(", ", silent);
    }

    /** Until when this node has it; nothing where it has not. */
    @Nullable
    Long until(String resource) {
        Claim claim = claims.get(resource);
        return claim == null || !claim.isHeld() ? null : claim.until;
    }

    /** Why a resource that this node wants is not its own, for people; empty where it is, or is not wanted. */
    String why(String resource, long now) {
        Claim claim = claims.get(resource);
        return claim == null || claim.isHeld() ? "" : why(claim, now);
    }

    private String why(Claim claim, long now) {
        List<String> reasons = new ArrayList<>();
        Set<String> holders = new TreeSet<>(claim.refused.values());
        boolean silence = holders.remove("");
        if (holders.remove(settings.name())) {
            reasons.add("an earlier life of this node has it");
        }
        if (!holders.isEmpty()) {
            reasons.add(String.join(", ", holders) + (holders.size() == 1 ? " has it" : " have voices for it"));
        }
        if (silence) {
            reasons.add(String.join(
                            ", ",
                            claim.refused.keySet().stream()
                                    .filter(voter -> "".equals(claim.refused.get(voter)))
                                    .toList())
                    + " began a moment ago and may not say yes yet");
        }
        Set<String> others = new TreeSet<>();
        links.forEach((voter, link) -> {
            if (link.judgement == Judgement.OTHER_ELECTORATE) {
                others.add(voter);
            }
        });
        if (!others.isEmpty()) {
            reasons.add(String.join(", ", others) + " has other voters in the description");
        }
        String silent = silent(now);
        if (!silent.isEmpty()) {
            reasons.add(silent);
        }
        return reasons.isEmpty() ? "not answered yet" : String.join("; ", reasons);
    }

    /** What this node has or wants. */
    Set<String> wanted() {
        return Set.copyOf(claims.keySet());
    }
}
