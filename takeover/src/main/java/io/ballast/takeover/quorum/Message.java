package io.ballast.takeover.quorum;

import java.util.List;

/** What candidates and voters say to each other. */
sealed interface Message {
    /**
     * A candidate's, to one voter.
     *
     * @param releases whether it gives up what it names, or asks for it (again)
     * @param from the candidate's name
     * @param life a number by which one life of its process differs from another: a node that has begun anew is another
     * @param session what the voter gave it ({@link Answer#session}); 0 before
     * @param sequence grows with each request of one life
     * @param electorate which voters it believes that there are
     * @param lease how long it is to have it, in nanoseconds
     * @param resources names; none to hear whether the voter is there
     */
    record Request(
            boolean releases,
            String from,
            long life,
            long session,
            long sequence,
            int electorate,
            long lease,
            List<String> resources)
            implements Message {
        public Request {
            resources = List.copyOf(resources);
        }
    }

    /** What a voter makes of a request. */
    enum Judgement {
        /** Each resource was judged. */
        JUDGED,
        /** It may be an old one that somebody has recorded: to be asked again with the session. */
        STRANGER,
        /** Candidate and voter have not the same voters in their descriptions. */
        OTHER_ELECTORATE
    }

    /**
     * What becomes of one resource.
     *
     * @param holder who has it, where that is another; empty where nobody has, and the voter may only not say so yet
     */
    record Verdict(boolean granted, String holder) {}

    /**
     * A voter's, to a candidate.
     *
     * @param voter its name
     * @param life of the request
     * @param sequence of the request
     * @param session what the candidate is to name from now on
     * @param lease for how long it grants, in nanoseconds from when it had the request: what was asked for at most
     * @param verdicts in the order of the resources, if they were judged
     */
    record Answer(
            String voter,
            long life,
            long sequence,
            long session,
            Judgement judgement,
            long lease,
            List<Verdict> verdicts)
            implements Message {
        public Answer {
            verdicts = List.copyOf(verdicts);
        }
    }
}
