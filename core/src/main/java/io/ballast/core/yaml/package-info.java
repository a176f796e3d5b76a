/** YAML 1.2 as a tree of text with places, strict where YAML is lax; nothing here knows what the keys mean. */
@NullMarked
package io.ballast.core.yaml;

import org.jspecify.annotations.NullMarked;
