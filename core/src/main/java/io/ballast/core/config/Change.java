package io.ballast.core.config;

import java.util.Locale;

/**
 * One difference between two descriptions.
 *
 * @param subject what differs: a service ({@code web}), a server in it ({@code web/www1}), or {@code node www1}
 * @param detail what is added or removed, or from what to what it changes; for people
 */
public record Change(Action action, String subject, String detail) {

    /** What happens to the subject. */
    public enum Action {
        /** It is new. */
        ADD,
        /** It goes. */
        REMOVE,
        /** It stays, and something about it differs. */
        CHANGE;

        /** The word at the control API. */
        public String word() {
            return name().toLowerCase(Locale.ROOT);
        }
    }

    @Override
    public String toString() {
        return action.word() + " " + subject + (detail.isEmpty() ? "" : ": " + detail);
    }
}
