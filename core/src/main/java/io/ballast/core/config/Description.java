package io.ballast.core.config;

import java.util.SequencedMap;

/**
 * The whole service as {@code ballast.yaml} describes it; the same on every node. Immutable, and valid: whatever the
 * reader hands out has passed every check that can be made without touching the machine.
 *
 * @param name the name of the whole, for people
 * @param nodes the machines by name, in the file's order
 * @param services the virtual services by name, in the file's order
 */
public record Description(
        String name, SequencedMap<String, NodeSpec> nodes, SequencedMap<String, ServiceSpec> services) {}
