package io.ballast.director.scheduler;

import java.util.function.Predicate;

/** The exclusion that excludes nothing, as one shared object. */
final class Exclusion {

    static final Predicate<Member> NONE = member -> false;

    private Exclusion() {}
}
