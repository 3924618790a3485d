// grade: says of each observation what a traveller would ask: is it a blizzard, snow, a storm, cold, or fair?
package main

import (
	"encoding/json"

	"weir-sdk/weir"
)

// thresholds are the step's configuration.
type thresholds struct {
	StormMs float64 `json:"storm_ms"`
	Cold    float64 `json:"cold"`
}

type observation struct {
	Station      string   `json:"station"`
	Time         string   `json:"time"`
	Celsius      float64  `json:"celsius"`
	FeelsLike    float64  `json:"feels_like"`
	WindMs       float64  `json:"wind_ms"`
	GustMs       *float64 `json:"gust_ms"`
	RainMm       float64  `json:"rain_mm"`
	VisibilityKm float64  `json:"visibility_km"`
	Grade        string   `json:"grade"`
}

func init() { weir.TransformWith(json.Unmarshal, grade) }

func grade(event weir.Event, limits *thresholds) ([]weir.Message, error) {
	var seen observation
	if err := json.Unmarshal(event.Payload, &seen); err != nil {
		return nil, err
	}
	seen.Grade = seen.grade(limits)
	payload, err := json.Marshal(seen)
	return []weir.Message{event.Message(payload)}, err
}

func (seen observation) grade(limits *thresholds) string {
	wind := seen.WindMs
	if seen.GustMs != nil {
		wind = max(wind, *seen.GustMs)
	}
	snows := seen.RainMm > 0 && seen.Celsius <= 1
	switch {
	case snows && wind >= limits.StormMs:
		return "blizzard"
	case snows:
		return "snow"
	case wind >= limits.StormMs:
		return "storm"
	case seen.FeelsLike <= limits.Cold:
		return "cold"
	}
	return "fair"
}

func main() {}
