package io.ballast.node;

import java.io.File;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.security.MessageDigest;
import java.security.NoSuchAlgorithmException;
import java.util.HexFormat;

/** Which build of the program this is. */
final class Build {
    /** The system property that says which build this is to pass for; for tests of replacing one by another. */
    static final String PROPERTY = "ballast.build";

    private Build() {}

    /** The version in this room's jar; {@code development} where classes run without one. */
    static String version() {
        String version = Build.class.getPackage().getImplementationVersion();
        return version == null ? "development" : version;
    }

    /**
     * Tells one installation of the program from another: the version, and a digest over names, sizes and times of the
     * jars. A traffic worker of another build is replaced.
     */
    static String id() {
        String given = System.getProperty(PROPERTY);
        if (given != null) {
            return given;
        }
        MessageDigest digest;
        try {
            digest = MessageDigest.getInstance("SHA-256");
        } catch (NoSuchAlgorithmException e) {
            throw new IllegalStateException("every JDK has SHA-256", e);
        }
        for (String entry : System.getProperty("java.class.path", "").split(File.pathSeparator, -1)) {
            Path path = Path.of(entry);
            String facts = entry;
            try {
                if (Files.isRegularFile(path)) {
                    facts = path.getFileName() + " " + Files.size(path) + " " + Files.getLastModifiedTime(path);
                }
            } catch (IOException e) {
                // It was there when the JVM started; its name has to do.
            }
            digest.update((facts + "\n").getBytes(StandardCharsets.UTF_8));
        }
        return version() + "-" + HexFormat.of().formatHex(digest.digest(), 0, 6);
    }
}
