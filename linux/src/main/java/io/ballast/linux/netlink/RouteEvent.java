package io.ballast.linux.netlink;

/**
 * A change that the kernel tells. Each carries the whole of what is there now (or was, for a removal), so that a
 * listener that has the earlier state needs no question.
 */
public sealed interface RouteEvent {
    /** An interface is new or has changed. */
    record LinkChanged(Link link) implements RouteEvent {}

    /** An interface is gone. */
    record LinkRemoved(Link link) implements RouteEvent {}

    /** An address is new or has changed. */
    record AddressChanged(Address address) implements RouteEvent {}

    /** An address is gone. */
    record AddressRemoved(Address address) implements RouteEvent {}

    /** An entry of the neighbour table is new or has changed its state or its Ethernet address. */
    record NeighbourChanged(Neighbour neighbour) implements RouteEvent {}

    /** An entry of the neighbour table is gone. */
    record NeighbourRemoved(Neighbour neighbour) implements RouteEvent {}

    /** A route is new or has changed. */
    record RouteChanged(Route route) implements RouteEvent {}

    /** A route is gone. */
    record RouteRemoved(Route route) implements RouteEvent {}

    /** The rules that choose a routing table have changed. */
    record RulesChanged() implements RouteEvent {}

    /**
     * Events are missing: ask for everything anew.
     *
     * @param reason for a message to the user
     */
    record Lost(String reason) implements RouteEvent {}
}
