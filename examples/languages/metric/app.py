"""metric: turns what American airports report into SI units, and adds how cold it feels."""

from weir import Event, Message, Reject, transform

KMH_IN_MPH = 1.609344


@transform
def metric(event: Event) -> Message:
    seen = event.json()
    if seen["wind_dir"] is None:
        raise Reject("no wind direction: the instrument was not to be trusted")
    celsius = (seen["temp"] - 32) / 1.8
    wind_kmh = seen["wind_speed"] * KMH_IN_MPH
    return event.message(
        Message.json(
            {
                "station": seen["origin"],
                "time": seen["time_hour"],
                "celsius": round(celsius, 1),
                "feels_like": round(wind_chill(celsius, wind_kmh), 1),
                "wind_ms": metres_per_second(seen["wind_speed"]),
                "gust_ms": metres_per_second(seen["wind_gust"]),
                "rain_mm": round(seen["precip"] * 25.4, 1),
                "visibility_km": round(seen["visib"] * KMH_IN_MPH, 1),
            }
        ).payload
    )


def wind_chill(celsius: float, wind_kmh: float) -> float:
    """The formula of the weather services of Canada and the United States; it holds for cold and wind."""
    if celsius > 10 or wind_kmh < 4.8:
        return celsius
    wind = wind_kmh**0.16
    return 13.12 + 0.6215 * celsius - 11.37 * wind + 0.3965 * celsius * wind


def metres_per_second(miles_per_hour: float | None) -> float | None:
    return None if miles_per_hour is None else round(miles_per_hour * KMH_IN_MPH / 3.6, 1)
