package io.ballast.cli;

import com.google.gson.JsonArray;
import com.google.gson.JsonElement;
import com.google.gson.JsonObject;
import com.google.gson.JsonPrimitive;
import java.util.ArrayList;
import java.util.List;

/** Members of JSON objects that may be missing: an older daemon may not send what a newer client shows. */
public final class Json {
    private Json() {}

    /** A text, or nothing. */
    public static String text(JsonObject object, String member) {
        return object.get(member) instanceof JsonPrimitive p ? p.getAsString() : "";
    }

    /** A whole number, or 0. */
    public static long number(JsonObject object, String member) {
        return (long) real(object, member);
    }

    /** A number, or 0. */
    public static double real(JsonObject object, String member) {
        return object.get(member) instanceof JsonPrimitive p && p.isNumber() ? p.getAsDouble() : 0;
    }

    /** Whether it is there and true. */
    public static boolean truth(JsonObject object, String member) {
        return object.get(member) instanceof JsonPrimitive p && p.isBoolean() && p.getAsBoolean();
    }

    /** An object, or an empty one. */
    public static JsonObject object(JsonObject object, String member) {
        return object.get(member) instanceof JsonObject o ? o : new JsonObject();
    }

    /** The objects in an array, or none. */
    public static List<JsonObject> objects(JsonObject object, String member) {
        List<JsonObject> objects = new ArrayList<>();
        if (object.get(member) instanceof JsonArray array) {
            for (JsonElement element : array) {
                if (element instanceof JsonObject o) {
                    objects.add(o);
                }
            }
        }
        return objects;
    }

    /** The texts in an array, or none. */
    public static List<String> texts(JsonObject object, String member) {
        List<String> texts = new ArrayList<>();
        if (object.get(member) instanceof JsonArray array) {
            for (JsonElement element : array) {
                if (element.isJsonPrimitive()) {
                    texts.add(element.getAsString());
                }
            }
        }
        return texts;
    }
}
