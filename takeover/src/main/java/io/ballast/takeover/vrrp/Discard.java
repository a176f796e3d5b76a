package io.ballast.takeover.vrrp;

/** Why an advertisement is not listened to (RFC 9568 section 7.1, RFC 3768 section 7.1). */
public enum Discard {
    /** Shorter than it says, or longer. */
    LENGTH("its length is not that of its addresses"),
    /** It has come through a router, or pretends to have come from far away. */
    TTL("its TTL is not 255"),
    /** Neither 2 nor 3, or 2 in IPv6. */
    VERSION("its version is another"),
    /** No advertisement. */
    TYPE("it is no advertisement"),
    /** The sum is wrong. */
    CHECKSUM("its checksum is wrong"),
    /** Virtual router 0. */
    ROUTER_ID("there is no virtual router 0"),
    /** A master for no address. */
    NO_ADDRESS("it names no address"),
    /** Its next one would come at once, for ever (erratum 8301). */
    INTERVAL("its interval is 0"),
    /** Version 2: the authentication is of another kind. */
    AUTHENTICATION_TYPE("its authentication is of another kind"),
    /** Version 2: or it is wrong. */
    AUTHENTICATION("its password is another"),
    /** Its authentication header is of no kind that is known here. */
    HEADER("its authentication header is none of VRRP"),
    /** There is no signature behind it, and there has to be one. */
    UNSIGNED("it is not signed: its sender has no hmac, or only receives"),
    /** What is behind it is no signature that this version knows. */
    SIGNATURE_TYPE("its signature is of an unknown kind"),
    /** No key of that number is known here. */
    UNKNOWN_KEY("it is signed with a key whose number is not known here"),
    /** It is of another key, or forged. */
    SIGNATURE("its signature is wrong: the keys differ, or somebody forged or changed it"),
    /** It was signed too long ago, or ahead. */
    STALE("it was signed outside the window of time: the clocks of the nodes differ, or it is replayed"),
    /** It has been heard already, or was sent before another that has. */
    REPLAYED("it was heard before, or is older than what was"),
    /** Only known senders are listened to, where advertisements are unicast. */
    NO_PEER("its sender is no peer"),
    /** Of one sender, or of all that are not known together. */
    CROWDED("there are more than anybody should send: somebody floods the network, or sends in a node's name");

    private final String text;

    Discard(String text) {
        this.text = text;
    }

    /** For people, after "because". */
    public String text() {
        return text;
    }
}
