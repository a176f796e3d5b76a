/**
 * From the text of {@code ballast.yaml} to the records of a valid description, or to every mistake in it. Begin with
 * {@link io.ballast.core.config.reader.DescriptionReader}.
 */
@NullMarked
package io.ballast.core.config.reader;

import org.jspecify.annotations.NullMarked;
