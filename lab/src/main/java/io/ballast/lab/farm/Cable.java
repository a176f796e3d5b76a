package io.ballast.lab.farm;

/** What a node's cables let pass. */
public enum Cable {
    /** Everything. */
    WHOLE,
    /** Nothing of what the node sends. */
    MUTE,
    /** Nothing to the node. */
    DEAF,
    /** Nothing between two nodes whose cables are like this; everything between them and others. */
    APART
}
