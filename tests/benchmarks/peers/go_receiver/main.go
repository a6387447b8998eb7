// An HTTP server that answers a callback once all in-sync replicas of Kafka have acknowledged it.
package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"os"

	"github.com/twmb/franz-go/pkg/kgo"
)

type callback struct {
	Message string `json:"message"`
}

type message struct {
	JobID string `json:"job_id"`
}

type receiver struct {
	kafka *kgo.Client
}

func (receiver receiver) ServeHTTP(response http.ResponseWriter, request *http.Request) {
	body, err := io.ReadAll(request.Body)
	if err != nil {
		http.Error(response, "unreadable", http.StatusBadRequest)
		return
	}
	var outer callback
	var inner message
	if json.Unmarshal(body, &outer) != nil || json.Unmarshal([]byte(outer.Message), &inner) != nil {
		http.Error(response, "no callback", http.StatusBadRequest)
		return
	}
	record := &kgo.Record{Key: []byte(inner.JobID), Value: body}
	if err := receiver.kafka.ProduceSync(request.Context(), record).FirstErr(); err != nil {
		http.Error(response, "not kept", http.StatusServiceUnavailable)
		return
	}
	response.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(response, "{}")
}

func main() {
	kafka, err := kgo.NewClient(
		kgo.SeedBrokers(os.Getenv("KAFKA")),
		kgo.DefaultProduceTopic(os.Getenv("TOPIC")),
		kgo.RequiredAcks(kgo.AllISRAcks()),
	)
	if err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(os.Getenv("LISTEN"), receiver{kafka}))
}
