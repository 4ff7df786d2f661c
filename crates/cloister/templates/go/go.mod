module app.example/name-of-app

go 1.25
