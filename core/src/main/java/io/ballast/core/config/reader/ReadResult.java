package io.ballast.core.config.reader;

import io.ballast.core.config.Description;
import io.ballast.core.config.Problem;
import io.ballast.core.config.Problem.Severity;
import java.util.List;
import java.util.Optional;

/**
 * What came of reading a description.
 *
 * @param description present exactly when no problem is an error
 * @param problems errors and warnings in the order of the text
 */
public record ReadResult(Optional<Description> description, List<Problem> problems) {

    /** Only the errors. */
    public List<Problem> errors() {
        return problems.stream().filter(p -> p.severity() == Severity.ERROR).toList();
    }
}
