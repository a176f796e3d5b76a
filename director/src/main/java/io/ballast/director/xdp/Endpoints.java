package io.ballast.director.xdp;

import io.ballast.core.config.Endpoint;
import java.io.IOException;
import java.net.InetAddress;
import java.util.ArrayList;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Set;

/**
 * Which endpoint has which place in the data plane, and whose it is.
 *
 * <p>A single port has a place of its own. The ranges of one address and protocol stand in a row, numbered from 1 on
 * without gaps, which packets go along until one fits; they lie apart, but for the last, which may be every port. So a
 * range that comes is written behind the others, and in front of every port, which moves on first. One that leaves makes
 * room for the last, which is written there before it is taken from its old place. At each moment every range that is to
 * stay is in the row at least once, and a process that ends in between leaves one of them there twice.
 */
final class Endpoints {
    private record Row(InetAddress address, Endpoint.Protocol protocol) {
        static Row of(Endpoint endpoint) {
            return new Row(endpoint.address(), endpoint.protocol());
        }
    }

    private record Range(Endpoint endpoint, Vip vip) {}

    private final DataPlane plane;
    private final Map<Endpoint, String> owners = new HashMap<>();
    private final Map<Row, List<Range>> rows = new HashMap<>();

    Endpoints(DataPlane plane) {
        this.plane = plane;
    }

    /**
     * Installs an endpoint or replaces what it was, also that of another service.
     *
     * @param leaving endpoints of the service that are about to be removed, which make room where there is none
     */
    void put(String service, Endpoint endpoint, Vip vip, Set<Endpoint> leaving) throws IOException {
        if (endpoint.single()) {
            plane.endpoint(endpoint, 0, vip);
        } else {
            putRange(service, new Range(endpoint, vip), leaving);
        }
        owners.put(endpoint, service);
    }

    private void putRange(String service, Range range, Set<Endpoint> leaving) throws IOException {
        List<Range> row = rows.computeIfAbsent(Row.of(range.endpoint), none -> new ArrayList<>());
        int at = indexOf(row, range.endpoint);
        if (at >= 0) {
            set(row, at, range);
            return;
        }
        if (row.size() >= Layout.RANGES) {
            for (Range other : List.copyOf(row)) {
                if (leaving.contains(other.endpoint)) {
                    remove(service, other.endpoint);
                    break;
                }
            }
        }
        if (row.size() >= Layout.RANGES) {
            throw new IOException("no place for " + range.endpoint + ": the engine xdp has at most " + Layout.RANGES
                    + " ranges of ports of one address and protocol");
        }
        int last = row.size() - 1;
        if (last >= 0 && row.get(last).endpoint.everyPort()) {
            append(row, row.get(last));
            set(row, last, range);
        } else {
            append(row, range);
        }
    }

    private static int indexOf(List<Range> row, Endpoint endpoint) {
        for (int i = 0; i < row.size(); i++) {
            if (row.get(i).endpoint.equals(endpoint)) {
                return i;
            }
        }
        return -1;
    }

    private void append(List<Range> row, Range range) throws IOException {
        plane.endpoint(range.endpoint, row.size() + 1, range.vip);
        row.add(range);
    }

    private void set(List<Range> row, int at, Range range) throws IOException {
        plane.endpoint(range.endpoint, at + 1, range.vip);
        row.set(at, range);
    }

    /** Removes an endpoint, if it is the service's and not another's by now. */
    void remove(String service, Endpoint endpoint) throws IOException {
        if (!service.equals(owners.get(endpoint))) {
            return;
        }
        if (endpoint.single()) {
            plane.removeEndpoint(endpoint, 0);
        } else {
            List<Range> row = Objects.requireNonNull(rows.get(Row.of(endpoint)));
            remove(row, indexOf(row, endpoint));
        }
        owners.remove(endpoint);
    }

    private void remove(List<Range> row, int at) throws IOException {
        int last = row.size() - 1;
        int hole = at;
        if (row.get(last).endpoint.everyPort() && hole < last) {
            // Every port stays the last.
            move(row, last - 1, hole);
            hole = last - 1;
        }
        move(row, last, hole);
        plane.removeEndpoint(row.get(last).endpoint, last + 1);
        row.removeLast();
    }

    private void move(List<Range> row, int from, int to) throws IOException {
        if (from != to) {
            set(row, to, row.get(from));
        }
    }

    /**
     * Finds out what an earlier process left, and ends what it was in the middle of.
     *
     * @return what is installed; whose it is, {@link #belongs} is to say
     * @throws IllegalArgumentException no engine can have left it so
     */
    List<DataPlane.Listening> adopt() throws IOException {
        List<DataPlane.Listening> found = new ArrayList<>();
        Map<Row, Range[]> numbered = new HashMap<>();
        for (DataPlane.Listening each : plane.endpoints()) {
            if (each.range() == 0) {
                found.add(each);
            } else if (each.range() < 0 || each.range() > Layout.RANGES) {
                throw new IllegalArgumentException(each.endpoint() + " is a range of the number " + each.range());
            } else {
                numbered.computeIfAbsent(Row.of(each.endpoint()), none -> new Range[Layout.RANGES])[each.range() - 1] =
                        new Range(each.endpoint(), each.vip());
            }
        }
        for (Map.Entry<Row, Range[]> each : numbered.entrySet()) {
            List<Range> row = inARow(each.getKey(), each.getValue());
            rows.put(each.getKey(), row);
            for (int i = row.size() - 1; i > 0; i--) {
                if (indexOf(row, row.get(i).endpoint) < i) {
                    remove(row, i);
                }
            }
            for (int i = 0; i < row.size(); i++) {
                found.add(new DataPlane.Listening(row.get(i).endpoint, i + 1, row.get(i).vip));
            }
        }
        return found;
    }

    private static List<Range> inARow(Row whose, Range[] numbered) {
        List<Range> row = new ArrayList<>();
        boolean ended = false;
        for (Range range : numbered) {
            if (range != null && ended) {
                throw new IllegalArgumentException("a range of " + whose + " is missing before " + range.endpoint);
            }
            ended = range == null;
            if (range != null) {
                row.add(range);
            }
        }
        return row;
    }

    /** Whose an adopted endpoint is. */
    void belongs(Endpoint endpoint, String service) {
        owners.put(endpoint, service);
    }
}
