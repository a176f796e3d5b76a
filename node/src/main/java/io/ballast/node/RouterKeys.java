package io.ballast.node;

import io.ballast.core.config.VirtualRouterSpec;
import io.ballast.core.config.VirtualRouterSpec.HmacSpec;
import io.ballast.core.config.VirtualRouterSpec.KeySpec;
import io.ballast.takeover.vrrp.Authentication;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.NoSuchFileException;
import java.nio.file.Path;
import java.nio.file.attribute.PosixFilePermission;
import java.util.ArrayList;
import java.util.EnumSet;
import java.util.HexFormat;
import java.util.List;
import java.util.Optional;
import java.util.Set;
import java.util.function.Consumer;

/**
 * What the nodes of a virtual router know each other by, with its secrets from their files.
 *
 * @param refused why it cannot be had, for people; empty where it can
 */
record RouterKeys(Authentication authentication, String refused) {
    private static final int MAX_BYTES = 4096;
    private static final int LEAST_WINDOW = 5;
    private static final int MOST_WINDOW = 300;
    private static final String HEX = "hex:";

    private static final Set<PosixFilePermission> OTHERS = EnumSet.of(
            PosixFilePermission.GROUP_READ,
            PosixFilePermission.GROUP_WRITE,
            PosixFilePermission.OTHERS_READ,
            PosixFilePermission.OTHERS_WRITE);

    /** Reads them anew each time, so that a changed file counts when the description is read again. */
    static RouterKeys read(VirtualRouterSpec router) {
        if (router.hmac().isEmpty()) {
            String password = router.password().orElse("");
            return new RouterKeys(
                    router.authenticationHeader() ? Authentication.header(password) : Authentication.password(password),
                    "");
        }
        HmacSpec spec = router.hmac().get();
        List<Authentication.Key> keys = new ArrayList<>();
        for (KeySpec key : spec.keys()) {
            try {
                keys.add(new Authentication.Key(key.id(), secret(Path.of(key.file()))));
            } catch (IOException e) {
                return new RouterKeys(
                        Authentication.NONE, "its keys cannot be had: " + e.getMessage() + ", then ballast reload");
            }
        }
        long window =
                spec.window().orElseGet(() -> router.interval().multipliedBy(3)).toSeconds();
        if (spec.window().isEmpty()) {
            window = Math.clamp(window, LEAST_WINDOW, MOST_WINDOW);
        }
        Authentication.Mode mode = switch (spec.mode()) {
            case RECEIVE_ONLY -> Authentication.Mode.RECEIVE_ONLY;
            case PERMISSIVE -> Authentication.Mode.PERMISSIVE;
            case ENFORCE -> Authentication.Mode.ENFORCE;
        };
        boolean fresh = spec.replay() == HmacSpec.Replay.TIME;
        return new RouterKeys(Authentication.of(new Authentication.Hmac(keys, mode, fresh, (int) window)), "");
    }

    /**
     * A secret that several nodes have, written in the description or in a file: where that cannot be read any more, the one
     * that is known is as good as it was.
     *
     * @param without what it means that there is none, before the reason
     * @param with what it means that the known one goes on, before the reason
     * @param troubles hear why a file cannot be read
     */
    static Optional<String> shared(
            Optional<String> key,
            Optional<String> file,
            Optional<String> known,
            String without,
            String with,
            Consumer<String> troubles) {
        if (file.isEmpty()) {
            return key;
        }
        try {
            return Optional.of(HexFormat.of().formatHex(secret(Path.of(file.get()))));
        } catch (IOException e) {
            troubles.accept((known.isEmpty() ? without : with) + e.getMessage() + ", then ballast reload");
            return known;
        }
    }

    /**
     * A key's bytes.
     *
     * @throws IOException why it cannot be had, for people, without the key
     */
    static byte[] secret(Path file) throws IOException {
        Set<PosixFilePermission> open = EnumSet.copyOf(OTHERS);
        long size;
        String text;
        try {
            open.retainAll(Files.getPosixFilePermissions(file));
            if (!Files.isRegularFile(file)) {
                // A pipe would be waited for.
                throw new IOException("it is no regular file");
            }
            size = Files.size(file);
            text = size > MAX_BYTES
                    ? ""
                    : Files.readString(file, StandardCharsets.ISO_8859_1).stripTrailing();
        } catch (NoSuchFileException e) {
            throw new IOException("there is no key file " + file + ": put the key there, mode 600", e);
        } catch (IOException e) {
            throw new IOException("the key file " + file + " cannot be read: " + e.getMessage(), e);
        }
        if (!open.isEmpty()) {
            throw new IOException("the key file " + file + " is open to others: chmod 600 " + file);
        }
        if (size > MAX_BYTES) {
            throw new IOException(
                    "the key file " + file + " is longer than " + MAX_BYTES + " bytes: write a key there");
        }
        byte[] secret;
        try {
            secret = text.startsWith(HEX)
                    ? HexFormat.of().parseHex(text.substring(HEX.length()))
                    : text.getBytes(StandardCharsets.ISO_8859_1);
        } catch (IllegalArgumentException e) {
            // Its message would show the key.
            throw new IOException("what is behind " + HEX + " in " + file + " are not pairs of hexadecimal digits:"
                    + " write it anew");
        }
        if (secret.length < Authentication.Key.SHORTEST || secret.length > Authentication.Key.LONGEST) {
            throw new IOException("the key in " + file + " has " + secret.length + " bytes, and has to have "
                    + Authentication.Key.SHORTEST + " to " + Authentication.Key.LONGEST
                    + ": write one of openssl rand -hex 32 there, behind " + HEX);
        }
        return secret;
    }
}
