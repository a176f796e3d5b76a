package io.ballast.linux;

import java.io.IOException;
import java.lang.foreign.MemorySegment;
import java.lang.foreign.ValueLayout;
import java.nio.charset.StandardCharsets;
import org.jspecify.annotations.Nullable;

/**
 * The kernel's settings under {@code /proc/sys}, by their names as in sysctl(8): {@code net.ipv4.conf.all.arp_ignore}, or
 * with slashes where a part has dots of its own: {@code net/ipv4/conf/eth0.100/arp_ignore}. Those below {@code net} are
 * of the network namespace of the calling thread ({@link NetworkNamespace#call}).
 *
 * <p>A setting is the machine's and outlives the process. So changing one tells what was there before, to keep and to
 * {@link #undo} when it is no longer needed.
 */
public final class Sysctl {
    private static final int MAX_SIZE = 4096;

    private Sysctl() {}

    /**
     * A setting that was changed.
     *
     * @param name of the setting
     * @param before its value until then
     * @param after its value from then on, as the kernel tells it
     */
    public record Change(String name, String before, String after) {}

    /** The value, without its line end; several numbers have tabs between them. */
    public static String read(String name) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            int fd = check(kernel.open(path(name), Constants.O_CLOEXEC), "open", name, null);
            try {
                MemorySegment bytes = kernel.allocate(MAX_SIZE, 1);
                // At once: the kernel gives a value only whole.
                int length = check(kernel.read(fd, bytes), "read", name, null);
                byte[] text = bytes.asSlice(0, length).toArray(ValueLayout.JAVA_BYTE);
                return new String(text, StandardCharsets.UTF_8).strip();
            } finally {
                kernel.close(fd);
            }
        }
    }

    /** Sets a value; one that is there already is not written again. Needs root, or CAP_NET_ADMIN below {@code net}. */
    public static Change write(String name, String value) throws IOException {
        String before = read(name);
        if (before.equals(value)) {
            return new Change(name, before, before);
        }
        put(name, value);
        return new Change(name, before, read(name));
    }

    /**
     * Sets the value that was there before, unless the setting has been changed again since: then it is somebody else's
     * and stays.
     *
     * @return whether it has the earlier value now
     */
    public static boolean undo(Change change) throws IOException {
        String now = read(change.name());
        if (now.equals(change.before())) {
            return true;
        }
        if (!now.equals(change.after())) {
            return false;
        }
        put(change.name(), change.before());
        return true;
    }

    private static void put(String name, String value) throws IOException {
        try (Kernel kernel = Kernel.open()) {
            int fd = check(kernel.open(path(name), Constants.O_CLOEXEC | Constants.O_WRONLY), "open", name, value);
            try {
                byte[] text = (value + "\n").getBytes(StandardCharsets.UTF_8);
                MemorySegment bytes = kernel.allocateFrom(ValueLayout.JAVA_BYTE, text);
                check(kernel.write(fd, bytes), "write", name, value);
            } finally {
                kernel.close(fd);
            }
        }
    }

    private static String path(String name) {
        String path = name.indexOf('/') >= 0 ? name : name.replace('.', '/');
        if (!path.matches("[^/\0]+(/[^/\0]+)+") || path.matches("(.*/)?\\.\\.?(/.*)?")) {
            throw new IllegalArgumentException("not the name of a setting: " + name);
        }
        return "/proc/sys/" + path;
    }

    private static int check(int result, String call, String name, @Nullable String value) throws LinuxException {
        if (result >= 0) {
            return result;
        }
        String hint = switch (Errno.of(-result)) {
            case ENOENT -> "this kernel has no such setting, or no such interface";
            case EACCES, EPERM ->
                "not permitted to this user" + (value == null ? "" : "; as root: sysctl -w " + name + "=" + value);
            case EROFS -> "/proc/sys cannot be written here, as in containers: set it on the host";
            case EINVAL -> "not a value for it";
            default -> null;
        };
        throw new LinuxException(
                -result, call, value == null ? "sysctl " + name : "sysctl " + name + "=" + value, hint);
    }
}
