package io.ballast.takeover.wire;

import io.ballast.linux.netlink.Link;
import io.ballast.takeover.track.SyncGroup;
import io.ballast.takeover.track.Tracking;
import io.ballast.takeover.track.Tracking.State;
import io.ballast.takeover.track.Tracking.Tracked;
import io.ballast.takeover.track.Tracking.Verdict;
import io.ballast.takeover.vrrp.Advertisement;
import io.ballast.takeover.vrrp.VirtualRouter;
import io.ballast.takeover.vrrp.VirtualRouter.Role;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.Collection;
import java.util.Collections;
import java.util.HashSet;
import java.util.LinkedHashMap;
import java.util.LinkedHashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.function.BiFunction;
import java.util.function.LongConsumer;
import org.jspecify.annotations.Nullable;

/**
 * Virtual routers that move together, as a rule one alone, and what says how much this node is worth to them:
 *
 * <ol>
 *   <li>the operator ({@link Manner}), who may want it first, last or not at all;
 *   <li>else, whether there is anything to serve at the addresses: a node that has nothing comes last;
 *   <li>else, what is tracked adds to the described priority.
 * </ol>
 *
 * <p>A fault, of an interface or of what is tracked, keeps the addresses away whatever these say. Before all that may be
 * one is known, no part is taken; afterwards, what comes to be tracked is no fault until it is known to be. Of the
 * takeover thread.
 */
final class Party {
    /** Of who gives way to everybody. */
    private static final int LAST = 1;

    /** After so many intervals without an advertisement a master is not heard any more. */
    private static final int FELL_SILENT = 4;

    /** So often the others are told that what addresses depend on is free. */
    private static final long WORDS = 1_000_000_000;

    /** Of who comes before everybody but the addresses' owner. */
    private static final int FIRST = 254;

    private final Takeover.Listener listener;
    private final List<Instance> members;
    private final SyncGroup routers;
    private final Tracking tracking;
    private Map<String, Dependence> dependences;
    private Verdict verdict;
    private Manner manner = Manner.NORMAL;
    private String unable = "";
    /** Those of whose network nothing is known yet. */
    private final Set<Instance> unseen;

    private final Claims claims = new Claims();
    /** What is done when everything that goes with the addresses has been given back; null where nothing is. */
    private @Nullable LongConsumer withdrawal;
    /** Whether that is because of a fault. */
    private boolean withdrawsAtFault;

    /** Who was heard as master, and has not said since that it is none. */
    private final Set<InetAddress> masters = new HashSet<>();

    private long nextWord = Long.MIN_VALUE;
    private boolean comesLast;
    private boolean faulty;
    private boolean begun;
    private boolean restart;
    private boolean waits;

    /**
     * A party that takes no part yet.
     *
     * @param dependences by the names of the virtual routers
     * @param making makes a member
     */
    Party(
            List<Membership> memberships,
            Map<String, Dependence> dependences,
            Takeover.Listener listener,
            BiFunction<Membership, Party, Instance> making) {
        this.listener = listener;
        this.dependences = dependences;
        this.tracking = new Tracking(memberships.getFirst().priority(), tracked(dependences.values()));
        this.verdict = tracking.verdict();
        this.members = memberships.stream()
                .map(membership -> making.apply(membership, this))
                .toList();
        this.routers = new SyncGroup(members.stream().map(Instance::router).toList());
        this.unseen = new HashSet<>(members);
    }

    private static List<Tracked> tracked(Collection<Dependence> dependences) {
        return dependences.stream()
                .flatMap(each -> each.tracked().stream())
                .distinct()
                .toList();
    }

    List<Instance> members() {
        return members;
    }

    /** What they have in common; empty of one that is alone. */
    String group() {
        return common().group();
    }

    /** Of the group, all say the same. */
    private Dependence common() {
        return dependences.values().iterator().next();
    }

    // ---- What this node is worth

    /** The description's, as all that was told bends them. */
    VirtualRouter.Settings bent(VirtualRouter.Settings described) {
        int priority = priority(described.priority());
        return manner == Manner.PREFERRED ? described.of(priority, true) : described.of(priority, described.preempt());
    }

    private int priority(int described) {
        int wanted = wanted(described);
        Set<Integer> others = common().others();
        return others.isEmpty() ? wanted : SyncGroup.distinct(wanted, described, others);
    }

    private int wanted(int described) {
        return switch (manner) {
            case PREFERRED -> Math.max(FIRST, described);
            case YIELDING -> LAST;
            case NORMAL, WITHDRAWN ->
                !unable.isEmpty() || claims.last().isPresent()
                        ? LAST
                        : described == Advertisement.OWNER ? described : verdict.priority();
        };
    }

    private void apply(long now) {
        members.forEach(member -> member.apply(now));
    }

    Manner manner() {
        return manner;
    }

    /** What the operator wants of any of them; the one that takes away most holds for all. */
    void manner(Map<String, Manner> wanted, long now) {
        Manner next = Collections.max(members.stream()
                .map(member -> wanted.getOrDefault(member.member().name(), Manner.NORMAL))
                .toList());
        if (next == manner) {
            return;
        }
        manner = next;
        restart = false;
        apply(now);
        if (next == Manner.WITHDRAWN || (next == Manner.YIELDING && any(Role.MASTER))) {
            String why = next == Manner.WITHDRAWN ? "in maintenance" : "released by the operator";
            withdraw(why, false, then -> routers.leave(why, then), now);
        } else if (begun) {
            stay(false, now);
            routers.start(now);
        } else {
            begin(now);
        }
    }

    /** Why this node has nothing to serve at the addresses of one of them, so that every other one is better. */
    void unable(Map<String, String> reasons, long now) {
        String why = members.stream()
                .map(member -> reasons.getOrDefault(member.member().name(), ""))
                .filter(reason -> !reason.isEmpty())
                .findFirst()
                .orElse("");
        boolean changes = why.isEmpty() != unable.isEmpty();
        unable = why;
        if (changes) {
            apply(now);
            for (Instance member : members) {
                listener.note(
                        !why.isEmpty(),
                        member.member(),
                        why.isEmpty()
                                ? "has its own priority again: there is something to serve"
                                : "gives way to every other node, as " + why);
            }
        }
    }

    /** How things are that may be tracked. */
    void observed(Map<String, State> states, long now) {
        List<String> changed = new ArrayList<>();
        states.forEach((name, state) -> {
            if (tracking.put(name, state)) {
                changed.add(name);
            }
        });
        if (!changed.isEmpty()) {
            judge(changed, now);
        }
    }

    /** What network interfaces there are. */
    void links(Map<String, Link> links, long now) {
        Map<String, State> states = new LinkedHashMap<>();
        for (Dependence each : dependences.values()) {
            each.devices().forEach(name -> states.put(Dependence.device(name), state(links.get(name))));
        }
        observed(states, now);
    }

    private static State state(@Nullable Link link) {
        if (link == null) {
            return new State.Down("there is none of that name");
        }
        return !link.up()
                ? new State.Down("switched off")
                : link.running() ? new State.Up() : new State.Down("it has no link");
    }

    private void judge(List<String> changed, long now) {
        Verdict before = verdict;
        verdict = tracking.verdict();
        tell(changed, before);
        if (verdict.priority() != before.priority()) {
            apply(now);
        }
        judgeFaults(now);
        begin(now);
    }

    private void judgeFaults(long now) {
        List<String> faults = new ArrayList<>(verdict.faults());
        claims.fault().ifPresent(faults::add);
        if (faults.isEmpty()) {
            stay(true, now);
            routers.whole(now);
        } else {
            String why = String.join("; ", faults);
            withdraw(why, true, then -> routers.fault(why, then), now);
        }
    }

    private void tell(List<String> changed, Verdict before) {
        Set<String> names = new LinkedHashSet<>();
        members.forEach(member -> names.add(member.member().name()));
        for (String name : changed) {
            tracking.standing(name)
                    .ifPresent(standing ->
                            listener.tracked(List.copyOf(names), standing, before.priority(), verdict.priority()));
        }
    }

    // ---- What the addresses depend on

    List<Membership> memberships() {
        return members.stream().map(Instance::member).toList();
    }

    void bind(List<OwnershipCondition> conditions, long now) {
        claims.become(conditions);
        conditionsChanged(now);
    }

    /** Something of it is another. */
    void conditionsChanged(long now) {
        claims.advance();
        LongConsumer then = withdrawal;
        if (then != null && (claims.isFree() || claims.isStuck())) {
            withdrawal = null;
            then.accept(now);
        }
        boolean other = claims.last().isPresent() != comesLast;
        comesLast = claims.last().isPresent();
        if (other) {
            apply(now);
        }
        boolean fault = claims.fault().isPresent();
        if (fault || faulty) {
            faulty = fault;
            judgeFaults(now);
        }
        holdOrDrop(now);
    }

    private void holdOrDrop(long now) {
        boolean granted = withdrawal == null && claims.isGranted();
        for (Instance member : members) {
            if (granted) {
                member.hold(claims.until(), now);
            } else {
                member.drop(now);
            }
        }
    }

    /** A member is to have its addresses. */
    void elected(Instance member, long now) {
        claims.want(member.router().role() == Role.BACKUP ? "elected" : "is the addresses' owner");
        if (claims.isGranted()) {
            member.hold(claims.until(), now);
        }
    }

    /** A member is not to have its addresses any more, and has them no more. */
    void released(long now) {
        if (members.stream().noneMatch(Instance::elected)) {
            claims.give("the addresses are another's");
        }
    }

    /**
     * What the addresses depend on may be another's; they are dropped, if they were here.
     *
     * @return whether others may be told so
     */
    boolean surrender(long now) {
        if (!claims.isEmpty()) {
            members.forEach(member -> member.drop(now));
            claims.give("the addresses are another's");
        }
        return claims.isFree();
    }

    /**
     * Drops the addresses, has everything given back that went with them, and only then does what lets others hear of it:
     * until then this node goes on to advertise, so that nobody takes what is still in use here.
     */
    private void withdraw(String why, boolean atFault, LongConsumer then, long now) {
        if (!claims.isEmpty()) {
            members.forEach(member -> member.drop(now));
            claims.give(why);
            boolean leads = members.stream().anyMatch(Instance::elected);
            if (leads && !claims.isFree() && !claims.isStuck()) {
                withdrawal = then;
                withdrawsAtFault = atFault;
                return;
            }
        }
        withdrawal = null;
        then.accept(now);
    }

    /** It need not withdraw after all. */
    private void stay(boolean atFault, long now) {
        if (withdrawal != null && withdrawsAtFault == atFault) {
            withdrawal = null;
            claims.want("stays");
            holdOrDrop(now);
        }
    }

    /** What the addresses wait for, for people. */
    List<String> waitsFor() {
        return claims.waitsFor();
    }

    // ---- Taking part

    private void begin(long now) {
        if (begun || manner == Manner.WITHDRAWN || !unseen.isEmpty()) {
            return;
        }
        if (verdict.awaited().isEmpty()) {
            begun = true;
            routers.start(now);
        } else if (!waits) {
            waits = true;
            listener.note(
                    false,
                    members.getFirst().member(),
                    "takes part as soon as this is known: " + String.join(", ", verdict.awaited()));
        }
    }

    /** A member's network is not what it needs. */
    void fault(Instance member, String why, long now) {
        routers.fault(member.router(), why, now);
        seen(member, now);
    }

    /** A member's network is what it needs. */
    void whole(Instance member, long now) {
        routers.whole(member.router(), now);
        seen(member, now);
    }

    private void seen(Instance member, long now) {
        unseen.remove(member);
        begin(now);
    }

    /** Whether {@link #configure} is enough, and the others need not be told that it leaves. */
    boolean canBecome(List<Membership> others) {
        if (others.size() != members.size()) {
            return false;
        }
        for (int i = 0; i < members.size(); i++) {
            Membership member = members.get(i).member();
            if (!member.key().equals(others.get(i).key()) || !members.get(i).canBecome(others.get(i))) {
                return false;
            }
        }
        return true;
    }

    /** As the description has it now, in the same order. */
    void configure(List<Membership> others, Map<String, Dependence> theirs, Map<String, State> states, long now) {
        boolean other = !theirs.equals(dependences)
                || others.getFirst().priority() != members.getFirst().member().priority();
        dependences = theirs;
        if (other) {
            tracking.configure(others.getFirst().priority(), tracked(theirs.values()));
            states.forEach(tracking::put);
            verdict = tracking.verdict();
        }
        for (int i = 0; i < members.size(); i++) {
            members.get(i).configure(others.get(i), now);
        }
        if (other) {
            apply(now);
            judge(List.of(), now);
        }
    }

    /** Ends its part; {@link #gone} says when that is done. */
    void retire(String why, long now) {
        manner = Manner.WITHDRAWN;
        restart = false;
        withdraw(why, false, then -> routers.leave(why, then), now);
    }

    /** Ends its part, as others come in its place. */
    void replace(String why, long now) {
        if (claims.isEmpty()) {
            stop(why, now);
        } else {
            retire(why, now);
        }
    }

    /** Ends its part now. */
    void stop(String why, long now) {
        manner = Manner.WITHDRAWN;
        restart = false;
        withdrawal = null;
        routers.stop(why, now);
        members.forEach(Instance::letGo);
    }

    /** Whether it takes no part any more, and has said so. */
    boolean gone() {
        return members.stream().allMatch(Instance::gone);
    }

    void close() {
        members.forEach(Instance::close);
    }

    // ---- What happens

    /** As {@link VirtualRouter#hold}. */
    void hold(boolean holds) {
        members.forEach(member -> member.router().hold(holds));
    }

    void heard(Instance member, Advertisement ad, InetAddress from, long at, long now) {
        if (!claims.isEmpty()) {
            if (isSaid(member, ad, from, at, now)) {
                return;
            }
        }
        routers.heard(member.router(), ad, from, at, now);
    }

    /** Where the addresses depend on something: whether this is about that alone. */
    private boolean isSaid(Instance member, Advertisement ad, InetAddress from, long at, long now) {
        boolean has = ad.priority() != Advertisement.LEAVES;
        claims.heard(from, has, at, at + FELL_SILENT * ad.interval());
        if (!has) {
            // One that leaves is another's business too; one that only says that it is free is not.
            return !masters.remove(from) && claims.tells();
        }
        masters.add(from);
        if (member.role() == Role.MASTER && member.router().isBetter(ad, from)) {
            if (withdrawal == null) {
                String why = from.getHostAddress() + " advertises priority " + ad.priority() + ", this node "
                        + member.router().priority();
                withdraw(why, false, then -> routers.stepDown(why, then), now);
            }
            return withdrawal != null;
        }
        if (member.role() == Role.BACKUP && !claims.isWanted()) {
            claims.give(from.getHostAddress() + " is master");
        }
        return false;
    }

    /** When the others are told that this node has nothing of what the addresses depend on; never where it may have. */
    long nextWord(Instance member) {
        boolean tells = claims.tells()
                && !claims.isWanted()
                && claims.isFree()
                && member.isConnected()
                && member.role() != Role.MASTER
                && member.role() != Role.LEAVING;
        return tells ? nextWord : Long.MAX_VALUE;
    }

    /** They are told now. */
    void said(long at, long now) {
        claims.said(at);
        nextWord = now + WORDS;
    }

    /** Whether others depend on being told that this node leaves. */
    boolean tells() {
        return claims.tells();
    }

    /** They stood still for so long that others have the addresses. */
    void lapsed(long now) {
        routers.lapsed(now);
        members.forEach(Instance::letGo);
    }

    /** The role of one of them is another. */
    void changed(Instance member, Role from, Role to, long now) {
        if (from == Role.LEAVING && !claims.isEmpty()) {
            claims.said(now); // up to now
        }
        if (to == Role.MASTER && withdrawal == null && !member.holds()) {
            elected(member, now); // again, where it was about to leave
        }
        restart |= to == Role.STOPPED && manner == Manner.YIELDING;
    }

    private boolean restarts() {
        return restart && all(Role.STOPPED);
    }

    long due() {
        return restarts() ? 0 : routers.due();
    }

    void tick(long now) {
        if (restarts()) {
            restart = false;
            routers.start(now);
        }
        if (manner == Manner.YIELDING && all(Role.LEAVING) && now >= routers.due()) {
            // Nobody wanted them.
            routers.start(now);
        }
        routers.tick(now);
    }

    private boolean all(Role role) {
        return members.stream().allMatch(member -> member.role() == role);
    }

    private boolean any(Role role) {
        return members.stream().anyMatch(member -> member.role() == role);
    }

    // ---- What is told of it

    List<Tracking.Standing> standings() {
        return tracking.standings();
    }

    /** Why no member may have its addresses; empty where they may. */
    List<String> faults() {
        List<String> faults = new ArrayList<>(verdict.faults());
        claims.fault().ifPresent(faults::add);
        for (Instance member : members) {
            if (!member.trouble().isEmpty()) {
                faults.add(
                        members.size() == 1 ? member.trouble() : member.member().name() + ": " + member.trouble());
            }
        }
        return faults;
    }

    /** What comes before what is tracked; empty where nothing does. */
    String unable() {
        return unable;
    }
}
