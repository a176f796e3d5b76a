package io.ballast.takeover.track;

import io.ballast.takeover.vrrp.Advertisement;
import io.ballast.takeover.vrrp.VirtualRouter;
import io.ballast.takeover.vrrp.VirtualRouter.Role;
import java.net.InetAddress;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * Several virtual routers of a node that move together: a director with an address outside and one inside is of use only
 * with both. All of them are master, or none is.
 *
 * <ul>
 *   <li>None becomes master before all of them could: one whose master has fallen silent waits, since where others still
 *       hear theirs, it is a network that has failed and not a node.
 *   <li>Where one has lost to another node, the others step down at once.
 *   <li>Where one is at fault, all are, until none is.
 * </ul>
 *
 * <p>So they need one priority, different from every other node's ({@link #distinct}): where one node wins on one network
 * and another on the other, both lose for ever. Everything that happens to a member is told by way of the group. Not
 * thread-safe.
 */
public final class SyncGroup {
    private static final long NEVER = Long.MAX_VALUE;

    private final List<VirtualRouter> members;
    private final Map<VirtualRouter, String> faults = new HashMap<>();
    /** Why all of them are at fault; empty where they are not. */
    private String common = "";

    private boolean takesPart;

    /** Of members that take no part yet. */
    public SyncGroup(List<VirtualRouter> members) {
        this.members = List.copyOf(members);
        if (this.members.isEmpty()) {
            throw new IllegalArgumentException("a group of none");
        }
    }

    /**
     * The priority next to a wanted one that no other node of the group can come to have. Each node has those that leave a
     * remainder of its own, and the described ones are their nodes' alone.
     *
     * @param wanted from 1 to 254
     * @param own the node's described priority
     * @param others the other nodes' described priorities, different ones
     */
    public static int distinct(int wanted, int own, Set<Integer> others) {
        if (wanted == own) {
            return own;
        }
        int nodes = others.size() + 1;
        int below = (int) others.stream().filter(other -> other < own).count();
        for (int distance = 0; distance < Advertisement.OWNER; distance++) {
            for (int next : new int[] {wanted + distance, wanted - distance}) {
                boolean possible = next > Advertisement.LEAVES && next < Advertisement.OWNER;
                if (possible && next % nodes == (1 + below) % nodes && !others.contains(next)) {
                    return next;
                }
            }
        }
        return wanted;
    }

    private boolean all(Role role) {
        for (VirtualRouter member : members) {
            if (member.role() != role) {
                return false;
            }
        }
        return true;
    }

    private boolean any(Role role) {
        for (VirtualRouter member : members) {
            if (member.role() == role) {
                return true;
            }
        }
        return false;
    }

    /** As {@link VirtualRouter#start}, for all; while one is at fault, all of them are. */
    public void start(long now) {
        takesPart = true;
        if (!mayHave()) {
            for (VirtualRouter member : members) {
                member.startAtFault(why(member), now);
            }
            return;
        }
        if (any(Role.LEAVING) && !all(Role.LEAVING)) {
            // Some have found a new master, so that none may stay.
            members.forEach(member -> member.stop("another of its group has been taken over", now));
        }
        members.forEach(member -> member.start(now));
    }

    /** As {@link VirtualRouter#stop}, for all. */
    public void stop(String because, long now) {
        takesPart = false;
        members.forEach(member -> member.stop(because, now));
    }

    /** As {@link VirtualRouter#leave}, for all. */
    public void leave(String because, long now) {
        takesPart = false;
        members.forEach(member -> member.leave(because, now));
    }

    /** As {@link VirtualRouter#stepDown}, for all. */
    public void stepDown(String because, long now) {
        members.forEach(member -> member.stepDown(because, now));
    }

    /** As {@link VirtualRouter#lapsed}, for all. */
    public void lapsed(long now) {
        members.forEach(member -> member.lapsed(now));
    }

    /** As {@link VirtualRouter#fault}: for this member, and for the others because of it. */
    public void fault(VirtualRouter member, String because, long now) {
        faults.put(require(member), because);
        fail(now);
    }

    /** As {@link VirtualRouter#fault}, for all, by what they have in common. */
    public void fault(String because, long now) {
        common = because;
        fail(now);
    }

    private void fail(long now) {
        for (VirtualRouter member : members) {
            member.fault(why(member), now);
        }
    }

    private boolean mayHave() {
        return faults.isEmpty() && common.isEmpty();
    }

    private String why(VirtualRouter member) {
        String own = faults.get(member);
        if (own != null) {
            return own;
        }
        return common.isEmpty() ? "another of its group is at fault: " + String.join("; ", faults()) : common;
    }

    /** As {@link VirtualRouter#whole}: for all, when nothing is a fault any more. */
    public void whole(VirtualRouter member, long now) {
        if (faults.remove(require(member)) != null) {
            mend(now);
        }
    }

    /** As {@link VirtualRouter#whole}, of what they have in common. */
    public void whole(long now) {
        if (!common.isEmpty()) {
            common = "";
            mend(now);
        }
    }

    private void mend(long now) {
        if (!mayHave()) {
            return;
        }
        if (!takesPart) {
            members.forEach(each -> each.stop("takes no part", now));
            return;
        }
        members.forEach(each -> each.whole(now));
        start(now);
    }

    /** As {@link VirtualRouter#heard}, by a member. */
    public void heard(VirtualRouter member, Advertisement ad, InetAddress from, long at, long now) {
        boolean was = require(member).role() == Role.MASTER;
        member.heard(ad, from, at, now);
        if (was && member.role() == Role.BACKUP) {
            for (VirtualRouter other : members) {
                other.stepDown("another of its group: " + member.why(), now);
            }
        }
    }

    /** As {@link VirtualRouter#tick}; who would become master waits for the others. */
    public void tick(long now) {
        boolean together = all(Role.BACKUP) && now >= due();
        for (VirtualRouter member : members) {
            if (together || member.role() != Role.BACKUP) {
                member.tick(now);
            }
        }
    }

    /** As {@link VirtualRouter#due}. */
    public long due() {
        long latest = Long.MIN_VALUE;
        long leaving = NEVER;
        for (VirtualRouter member : members) {
            if (member.role() == Role.BACKUP) {
                latest = Math.max(latest, member.due());
            } else {
                leaving = Math.min(leaving, member.due());
            }
        }
        return all(Role.BACKUP) ? latest : leaving;
    }

    /** Why its members are at fault, for people, each by its own; empty where none is. */
    public List<String> faults() {
        return members.stream().map(faults::get).filter(Objects::nonNull).toList();
    }

    private VirtualRouter require(VirtualRouter member) {
        for (VirtualRouter each : members) {
            if (each == member) {
                return member;
            }
        }
        throw new IllegalArgumentException("of another group");
    }
}
