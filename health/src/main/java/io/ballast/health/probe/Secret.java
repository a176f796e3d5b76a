package io.ballast.health.probe;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.util.EnumSet;
import java.util.Optional;
import java.util.Set;

/** A password, read from its file each time it is needed, so that a changed one counts at once. */
final class Secret {

    private static final int MAX_BYTES = 4096;

    private static final Set<PosixFilePermission> OTHERS = EnumSet.of(
            PosixFilePermission.GROUP_READ,
            PosixFilePermission.GROUP_WRITE,
            PosixFilePermission.OTHERS_READ,
            PosixFilePermission.OTHERS_WRITE);

    private Secret() {}

    /**
     * The file's content without the end of its line; empty where there is no file.
     *
     * @throws IOException when the director is out of descriptors, which is not the file's fault
     */
    static String read(Optional<String> file) throws ProbeFailure, IOException {
        if (file.isEmpty()) {
            return "";
        }
        Path path = Path.of(file.get());
        try {
            Set<PosixFilePermission> open = EnumSet.copyOf(OTHERS);
            open.retainAll(Files.getPosixFilePermissions(path));
            if (!open.isEmpty()) {
                throw new ProbeFailure("password file " + path + " is open to others: chmod 600 " + path);
            }
            if (Files.size(path) > MAX_BYTES) {
                throw new ProbeFailure("password file " + path + " is longer than " + MAX_BYTES + " bytes");
            }
            return Files.readString(path, StandardCharsets.UTF_8).stripTrailing();
        } catch (IOException e) {
            if (Attempt.outOfDescriptors(e)) {
                throw e;
            }
            throw new ProbeFailure(
                    "password file " + path + " cannot be read: " + e.getClass().getSimpleName());
        }
    }
}
